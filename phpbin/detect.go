package phpbin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Detect runs the php-cgi at path, with the ini options and as the user of o, to find
// out its version and settings. It takes 30 to 50 ms. It is an error if the file is
// not php-cgi. The script of opcache.preload is not run, which PHP otherwise does
// even for -v.
func Detect(ctx context.Context, path string, o Options) (*Binary, error) {
	b := &Binary{Path: path}
	if err := b.stat(); err != nil {
		return nil, fmt.Errorf("php-cgi: %w", err)
	}
	o.Binary = path
	for _, s := range o.INI {
		if err := s.validate(); err != nil {
			return nil, err
		}
	}
	own := o.INI
	o.INI = slices.Concat(o.INI, detectINI())
	info, stderr, err := o.run(ctx, "-q", "-i")
	rows := parsePHPInfo(info)
	if err != nil || !b.readVersion(info, rows) {
		// Not php-cgi, or a page without a version: php-cgi -v shows what it is.
		if err := b.queryVersion(ctx, o); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, runError(ctx, path, "", stderr, err)
	}
	b.Warnings = nonEmptyLines(stderr)
	b.readRows(rows)
	b.UnknownINI = unknownINI(info, own, o.AdminINI)
	b.Tracers = tracers(info, rows)
	return b, nil
}

// queryVersion sets the version from php-cgi -v.
func (b *Binary) queryVersion(ctx context.Context, o Options) error {
	stdout, stderr, err := o.run(ctx, "-v")
	if err != nil {
		return runError(ctx, b.Path, stdout, stderr, err)
	}
	var ok bool
	if b.Version, b.VersionText, b.SAPI, ok = parseVersion(stdout); !ok {
		return fmt.Errorf("%s is not PHP: the output of -v is %s", b.Path, firstLine(stdout, stderr))
	}
	if b.SAPI != cgiSAPI {
		return fmt.Errorf("%s is PHP %s for another SAPI (%s), not php-cgi (%s)", b.Path, b.VersionText, b.SAPI, cgiSAPI)
	}
	return nil
}

// detectINI returns ini settings that disable preloading and send messages to
// stderr.
func detectINI() []Setting {
	return append([]Setting{{Name: "opcache.preload"}}, logToStderrINI()...)
}

// logToStderrINI returns ini settings that send messages to stderr.
func logToStderrINI() []Setting {
	return []Setting{{Name: "error_log"}, {Name: "log_errors", Value: "1"}}
}

// run runs php-cgi with args. Its environment must not be that of a web server,
// or php-cgi refuses to run (see reservedEnv).
func (o Options) run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, o.Binary, append(o.Args(), args...)...)
	cmd.Env = o.Environ()
	cmd.WaitDelay = time.Second // after a kill, do not wait for what it started
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	setCredential(cmd.SysProcAttr, o.Credential)
	cancelGroup(cmd)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// On a thread with nothing that php-cgi must not inherit: its extensions are code, and
	// so are the scripts that it preloads.
	thread, err := startSpawnThread(Options{Confine: o.Confine})
	if err != nil {
		return "", "", err
	}
	defer thread.stop()
	if err = thread.do(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	return out.String(), errs.String(), err
}

// runError describes why a run failed.
func runError(ctx context.Context, path, stdout, stderr string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s did not respond: %w", path, context.Cause(ctx))
	}
	e := &StartError{Err: fmt.Errorf("running %s: %w", path, err), ExitCode: -1}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		e.ExitCode = exit.ExitCode()
		e.Stderr = nonEmptyLines(stderr + "\n" + stdout)
		e.Err = fmt.Errorf("running %s as php-cgi failed (%v)", path, exit.ProcessState)
	case errors.Is(err, syscall.ENOEXEC):
		e.Err = fmt.Errorf("%s is not a program for this machine: %w", path, err)
	case errors.Is(err, os.ErrPermission):
		e.Err = fmt.Errorf("this user may not execute %s: %w", path, err)
	}
	return e
}

// nonEmptyLines splits text into lines and drops the empty ones.
func nonEmptyLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func firstLine(outputs ...string) string {
	for _, text := range outputs {
		if lines := nonEmptyLines(text); len(lines) > 0 {
			return fmt.Sprintf("%.100q", lines[0])
		}
	}
	return "empty"
}
