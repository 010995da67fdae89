//go:build unix

package fpm

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/term"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// server is the running process.
type server struct {
	args     *arguments
	config   *config
	log      *errorLog
	notifier notifier
	loaded   chan error // the result of a reload
	loading  bool
}

// run serves until a signal stops it, and returns the exit code.
func (a *arguments) run() int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Ignore(syscall.SIGPIPE) // of a reader of stderr
	ready := foregroundPipe()
	s := &server{args: a, notifier: newNotifier(), log: &errorLog{}, loaded: make(chan error, 1)}
	var err error
	if s.config, err = a.load(); err != nil {
		report(err)
		logf(levelError, "FPM initialization failed")
		return exitConfig
	}
	if s.config.process.Daemonize && ready == nil {
		return background()
	}
	if err := s.start(); err != nil {
		logf(levelError, "%v", err)
		logf(levelError, "FPM initialization failed")
		return exitConfig
	}
	logf(levelNotice, "fpm is running, pid %d", os.Getpid())
	logf(levelNotice, "ready to handle connections")
	closeConsole()
	s.notifier.ready("Ready to handle connections")
	if ready != nil {
		_, _ = ready.Write([]byte{1}) // fails if the foreground was killed
		ready.Close()
	}
	return s.serve(signals)
}

// usesErrorLog reports whether the process logs to error_log: not for somebody who looks
// at its output (fpm_use_error_log).
func (s *server) usesErrorLog() bool {
	return s.config.process.Daemonize || !s.args.forceStderr && !term.IsTerminal(int(os.Stderr.Fd()))
}

// start serves. An error leaves nothing behind.
func (s *server) start() (err error) {
	p := s.config.process
	logLevel = strings.ToUpper(p.LogLevel)
	if err := canLog(p.ErrorLog); err != nil {
		return err
	}
	if err := prepareAdmin(s.config.file); err != nil {
		return err
	}
	if s.usesErrorLog() {
		if err := keepConsole(); err != nil {
			return err
		}
		if s.log, err = openErrorLog(p.ErrorLog, p.SyslogIdent, p.SyslogFacility); err != nil {
			s.log = &errorLog{}
			return err
		}
	}
	if err := caddy.Load(s.config.json, true); err != nil {
		s.cleanUp(true)
		return err
	}
	if err := writePID(p.PIDFile); err != nil {
		s.cleanUp(true)
		return err
	}
	s.logDropped()
	return nil
}

func (s *server) logDropped() {
	for _, line := range s.config.dropped {
		logf(levelWarn, "%s", line)
	}
}

// prepareAdmin makes the directory of the admin endpoint. Only its owner can enter it.
func prepareAdmin(file string) error {
	socket := adminSocket(file)
	if socket == "" {
		return nil
	}
	dir := filepath.Dir(socket)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(stat.Uid) != os.Geteuid() {
		return errors.New("the directory " + dir + " is accessible to other users: remove it")
	}
	return nil
}

// serve handles signals.
func (s *server) serve(signals <-chan os.Signal) int {
	for {
		select {
		case err := <-s.loaded:
			s.loading = false
			s.reloaded(err)
		case sig := <-signals:
			switch sig {
			case syscall.SIGUSR1:
				s.reopen()
			case syscall.SIGUSR2:
				s.reload()
			default:
				return s.stop(sig, signals)
			}
		}
	}
}

// reopen opens the log files again.
func (s *server) reopen() {
	if err := errors.Join(s.log.reopen(), reopenFiles()); err != nil {
		logf(levelError, "opening the log files again: %v", err)
		return
	}
	logf(levelNotice, "error log file re-opened")
}

// reload loads the configuration in the background: a signal may stop the process
// meanwhile. If it is broken, the old one stays active.
func (s *server) reload() {
	if s.loading {
		return
	}
	s.loading = true
	logf(levelNotice, "Reloading in progress ...")
	s.notifier.reloading()
	go func() {
		c, err := s.args.load()
		if err == nil {
			if err = caddy.Load(c.json, true); err == nil {
				c.process.Daemonize = s.config.process.Daemonize
				s.config = c
			}
		}
		s.loaded <- err
	}()
}

func (s *server) reloaded(err error) {
	if err != nil {
		report(err)
		logf(levelError, "reload failed: the configuration that was loaded before stays active")
		s.notifier.ready("Reload failed, serving with the configuration that was loaded before")
		return
	}
	logLevel = strings.ToUpper(s.config.process.LogLevel)
	s.logDropped()
	if s.usesErrorLog() && s.log.path != s.config.process.ErrorLog && s.log.path != "" {
		s.log.path = s.config.process.ErrorLog
		s.reopen()
	}
	logf(levelNotice, "fpm is running, pid %d", os.Getpid())
	logf(levelNotice, "ready to handle connections")
	s.notifier.ready("Ready to handle connections")
}

// stopGrace is how long a quick stop may take before the process exits without waiting
// for it. Its watchdogs end PHP then.
const stopGrace = 5 * time.Second

// stop stops the process: after SIGQUIT when the running requests have ended, at once
// after the others, which may follow a SIGQUIT.
func (s *server) stop(sig os.Signal, signals <-chan os.Signal) int {
	if sig == syscall.SIGQUIT {
		logf(levelNotice, "Finishing ...")
	} else {
		logf(levelNotice, "Terminating ...")
	}
	s.notifier.stopping()
	live.Exit()
	done := make(chan struct{})
	go func() {
		s.cleanUp(false)
		close(done)
	}()
	if sig == syscall.SIGQUIT {
		for quick := false; !quick; {
			select {
			case <-done:
				return s.exit()
			case next := <-signals:
				quick = next == syscall.SIGTERM || next == syscall.SIGINT
			}
		}
		logf(levelNotice, "Terminating ...")
	}
	deadline := time.After(stopGrace)
	for _, p := range live.RunningPools.All() {
		go p.ForceClose()
	}
	select {
	case <-done:
	case <-deadline:
	}
	return s.exit()
}

func (s *server) exit() int {
	logf(levelNotice, "exiting, bye-bye!")
	return exitOK
}

// cleanUp stops Caddy and removes the files of the process.
func (s *server) cleanUp(failed bool) {
	if failed {
		live.Exit()
	}
	_ = caddy.Stop() // logs its errors
	if err := phpbin.KillJobs(); err != nil {
		logf(levelWarn, "ending background jobs: %v", err)
	}
	if socket := adminSocket(s.config.file); socket != "" {
		os.Remove(socket)
	}
	if file := s.config.process.PIDFile; file != "" && !failed {
		os.Remove(file)
	}
}

// validate checks a config as `caddy validate` does, without starting anything.
func validate(c *config) error {
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(c.json, &parsed); err != nil {
		return err
	}
	return caddy.Validate(&parsed)
}
