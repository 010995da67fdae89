package phpstack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUnstable is returned when the stack changed on every read attempt, which can
// happen because the process is not stopped.
var ErrUnstable = errors.New("phpbin: the PHP stack changed while it was read")

// ErrThreadSafe is the error for a thread-safe PHP. It wraps errors.ErrUnsupported.
var ErrThreadSafe = fmt.Errorf("the stack of a thread-safe PHP cannot be located from outside: %w", errors.ErrUnsupported)

// Frame is one call on the stack of a PHP script.
type Frame struct {
	// Function is the name, with the class as in "K::m"; "{main}" for code outside of
	// functions.
	Function string

	// File and Line are the current position in an innermost frame, else that of the
	// call. They are empty for functions that are not written in PHP. Line is 0 if
	// unknown.
	File string
	Line int
}

// String returns "K::m /srv/www/k.php:12", or "sleep".
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

// printable returns text as valid UTF-8 without control characters, up to the first
// NUL. The bytes come from the memory of another process and may be anything; the
// result may go to a log.
func printable(text []byte) string {
	// The name of an anonymous class continues after a NUL (zend_compile.c,
	// zend_generate_anon_class_name).
	name, _, _ := strings.Cut(string(text), "\x00")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, name)
}
