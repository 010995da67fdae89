package phpbin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrClosed is returned by launchers after their Close.
	ErrClosed = errors.New("phpbin: launcher is closed")

	// ErrNoSlot is returned by [Shared.Launch] when every slot has its worker.
	ErrNoSlot = errors.New("phpbin: every slot of the php-cgi master is taken")
)

// StartError says why php-cgi does not serve, in its own words as far as it
// had any.
type StartError struct {
	// Err is what was seen: the end of the process, or the end of patience.
	Err error

	// Stderr are the last lines that php-cgi wrote.
	Stderr []string

	// ExitCode is that of the process; -1 if it still ran or a signal ended it.
	ExitCode int
}

// Error is one sentence: what was seen, and the last thing that php-cgi said.
func (e *StartError) Error() string {
	if len(e.Stderr) == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; php-cgi said: %s", e.Err, mainMessage(e.Stderr))
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// saying picks from php's messages the one that matters most: the last fatal
// one with what follows it (a stack trace does), or else the last line.
func mainMessage(lines []string) string {
	for i, line := range slices.Backward(lines) {
		if strings.Contains(strings.ToLower(line), "fatal error") {
			return strings.Join(lines[i:], " | ")
		}
	}
	return lines[len(lines)-1]
}

// NotFoundError says that there is no php-cgi, where it was looked for, and how
// one comes by it.
type NotFoundError struct {
	// Spec is what was asked for; empty for any php-cgi.
	Spec string

	// Names and Dirs are what was looked for, and where.
	Names, Dirs []string
}

func (e *NotFoundError) Error() string {
	what := "php-cgi"
	if e.Spec != "" {
		what = fmt.Sprintf("php-cgi %q", e.Spec)
	}
	return fmt.Sprintf("%s not found: looked for %s in %s; install it with %s",
		what, strings.Join(e.Names, ", "), strings.Join(e.Dirs, ", "), installHint)
}

// What php-cgi answers, with status 403 or 404, when it cannot open a script
// (sapi/cgi/cgi_main.c: php_fopen_primary_script failed). It says AccessDenied
// only where the system has (EACCES).
const (
	AccessDenied = "Access denied.\n"
	NoInputFile  = "No input file specified.\n"
)
