//go:build unix

package fpm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stamp is the form of the time in php-fpm's logs (zlog_print_time).
const stamp = "[02-Jan-2006 15:04:05]"

// The names of levels in php-fpm's logs.
const (
	levelNotice = "NOTICE"
	levelError  = "ERROR"
	levelWarn   = "WARNING"
)

// console is the stderr that the process was started with, while that is not the
// error_log and the process does not serve yet.
var console *os.File

// logLevels are the levels of php-fpm, in ascending order; those below logLevel are not
// logged.
var (
	logLevels = []string{"DEBUG", levelNotice, levelWarn, levelError, "ALERT"}
	logLevel  = levelNotice
)

// logf writes a line in the form of php-fpm's error_log to stderr, and to console.
func logf(level, format string, args ...any) {
	if slices.Index(logLevels, level) < slices.Index(logLevels, logLevel) {
		return
	}
	line := fmt.Sprintf("%s %s: %s\n", time.Now().Format(stamp), level, fmt.Sprintf(format, args...))
	_, _ = io.WriteString(os.Stderr, line) // there is no other place to report to
	if console != nil {
		_, _ = io.WriteString(console, line)
	}
}

// keepConsole keeps the present stderr as the console.
func keepConsole() error {
	fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		console = os.NewFile(uintptr(fd), "stderr")
	}
	return err
}

// closeConsole is for a process that serves.
func closeConsole() {
	if console != nil {
		console.Close()
		console = nil
	}
}

// errorLog is where stderr goes.
type errorLog struct {
	path   string // "" leaves stderr as it is
	syslog *os.File
}

// openErrorLog makes php-fpm's error_log the stderr of the process. So all of Caddy's
// output is there too, and the trace of a panic.
func openErrorLog(path, ident, facility string) (*errorLog, error) {
	l := &errorLog{path: path}
	if !strings.EqualFold(path, "syslog") {
		return l, l.reopen()
	}
	writer, err := syslog.New(facilities[facility]|syslog.LOG_NOTICE, ident)
	if err != nil {
		return nil, fmt.Errorf("error_log = syslog: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.path, l.syslog = "", write
	go copyToSyslog(read, writer)
	return l, redirect(write, os.Stderr)
}

// reopen opens the file of the log again, as after a rotation.
func (l *errorLog) reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := openLog(l.path)
	if err != nil {
		return err
	}
	defer f.Close() // stderr is a copy
	return redirect(f, os.Stderr)
}

// openLog opens a log file as php-fpm does, which no other user may read.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// canLog creates the file of error_log, as php-fpm does even where it logs to stderr. It
// returns an error if that is impossible.
func canLog(path string) error {
	if strings.EqualFold(path, "syslog") {
		return nil
	}
	f, err := openLog(path)
	if err != nil {
		return fmt.Errorf("error_log: %w", err)
	}
	return f.Close()
}

var facilities = map[string]syslog.Priority{
	"auth": syslog.LOG_AUTH, "authpriv": syslog.LOG_AUTHPRIV, "cron": syslog.LOG_CRON, "daemon": syslog.LOG_DAEMON,
	"ftp": syslog.LOG_FTP, "kern": syslog.LOG_KERN, "lpr": syslog.LOG_LPR, "mail": syslog.LOG_MAIL, "news": syslog.LOG_NEWS,
	"syslog": syslog.LOG_SYSLOG, "user": syslog.LOG_USER, "uucp": syslog.LOG_UUCP, "local0": syslog.LOG_LOCAL0,
	"local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3, "local4": syslog.LOG_LOCAL4,
	"local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// copyToSyslog sends each line with its level, and without the time, to syslog.
func copyToSyslog(from io.Reader, to *syslog.Writer) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			if len(line) > len(stamp) && line[0] == '[' {
				line = line[len(stamp)+1:]
			}
			level, text, _ := strings.Cut(line, ": ")
			switch level {
			case "DEBUG":
				err = to.Debug(text)
			case levelWarn:
				err = to.Warning(text)
			case levelError:
				err = to.Err(text)
			case "ALERT":
				err = to.Alert(text)
			case levelNotice:
				err = to.Notice(text)
			default:
				err = to.Notice(line)
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
	}
}
