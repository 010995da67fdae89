package phpbin

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUnstable is returned by [Process.Backtrace] when the stack changed under its
// eyes each time that it was read, which it may: the process is not stopped.
var ErrUnstable = errors.New("phpbin: the PHP stack changed while it was read")

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

// Backtrace returns what the script does right now: the innermost call first,
// depth of them at most, and none when no PHP code runs. It reads the memory of
// the process and neither stops nor delays it, so that the script goes on
// meanwhile: the line of the innermost frame is where it last left the
// interpreter, and calls that come and go are left out. It returns ErrUnstable when
// nothing stood still, and errors.ErrUnsupported, with the reason, where it
// cannot be had at all; see the package documentation.
func (p *Process) Backtrace(depth int) ([]Frame, error) { return p.backtrace(depth) }

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
