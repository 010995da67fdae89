package phpbin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrClosed is returned by the methods of a launcher after its Close.
	ErrClosed = errors.New("phpbin: launcher is closed")

	// ErrNoSlot is returned by [Shared.Launch] if every slot has a worker.
	ErrNoSlot = errors.New("phpbin: every slot of the php-cgi master is in use")
)

// The bodies of php-cgi's 403 and 404 responses when it cannot open a script
// (sapi/cgi/cgi_main.c, php_fopen_primary_script). It sends AccessDenied only if the
// system has denied access (EACCES).
const (
	AccessDenied = "Access denied.\n"
	NoInputFile  = "No input file specified.\n"
)

// StartError reports that php-cgi failed to start, or to run at all.
type StartError struct {
	// Err is the cause: the process exited, or the start timed out.
	Err error

	// Stderr are the last lines that php-cgi wrote.
	Stderr []string

	// ExitCode is the exit code of the process; -1 if it was still running or was
	// terminated by a signal.
	ExitCode int
}

// Error returns the cause and php-cgi's most important message in one line.
func (e *StartError) Error() string {
	if len(e.Stderr) == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; php-cgi said: %s", e.Err, mainMessage(e.Stderr))
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// mainMessage returns the most important message of PHP: the last fatal error with
// the lines that follow it, as those of a stack trace, or else the last line.
func mainMessage(lines []string) string {
	for i, line := range slices.Backward(lines) {
		if strings.Contains(strings.ToLower(line), "fatal error") {
			return strings.Join(lines[i:], " | ")
		}
	}
	return lines[len(lines)-1]
}

// NotFoundError reports that there is no such php-cgi, where it was searched, and
// how to install one.
type NotFoundError struct {
	// Spec is the argument of [Find]; empty for any php-cgi.
	Spec string

	// Names and Dirs are the file names and directories that were searched.
	Names, Dirs []string

	// Installed are other php-cgi on this machine: their paths, with the version in
	// parentheses.
	Installed []string
}

func (e *NotFoundError) Error() string {
	name := "php-cgi"
	if e.Spec != "" {
		name = fmt.Sprintf("php-cgi %q", e.Spec)
	}
	others := ""
	if len(e.Installed) > 0 {
		others = "; installed is " + strings.Join(e.Installed, ", ")
	}
	return fmt.Sprintf("%s not found: searched for %s in %s%s; install it with %s",
		name, strings.Join(e.Names, ", "), strings.Join(e.Dirs, ", "), others, installHint)
}
