package phpstack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUnstable is returned by [Process.Backtrace] when the stack changed under its
// eyes each time that it was read, which it may: the process is not stopped.
var ErrUnstable = errors.New("phpbin: the PHP stack changed while it was read")

// ErrThreadSafe is returned for a thread-safe PHP.
var ErrThreadSafe = fmt.Errorf("a thread-safe PHP keeps its stack where it cannot be found from outside: %w", errors.ErrUnsupported)

// Frame is one call on the stack of a PHP script.
type Frame struct {
	// Function is its name, with the class as in "K::m"; "{main}" for the code
	// of a file outside of functions.
	Function string

	// File and Line are where it is just now, or where the call of the frame
	// before it stands. A function that is not written in PHP has none, and Line
	// is 0 when it cannot be told.
	File string
	Line int
}

// String is "K::m /srv/www/k.php:12", or "sleep".
func (f Frame) String() string {
	switch {
	case f.File == "":
		return f.Function
	case f.Line == 0:
		return f.Function + " " + f.File
	default:
		return f.Function + " " + f.File + ":" + strconv.Itoa(f.Line)
	}
}

// printable makes a name out of bytes that may be anything: they come from the
// memory of another process, and go to a log.
func printable(text []byte) string {
	// The name of an anonymous class goes on after a NUL (zend_compile.c,
	// zend_generate_anon_class_name).
	name, _, _ := strings.Cut(string(text), "\x00")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, name)
}
