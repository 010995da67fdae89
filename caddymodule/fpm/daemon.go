//go:build unix

package fpm

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// readyEnv is set in the process that runs in the background. It reports on descriptor 3
// that it serves.
const readyEnv = "PHP_POOL_FPM_BACKGROUND"

// background starts this program again in the background, and returns the exit code for
// the foreground once that serves or has failed.
func background() int {
	program, err := os.Executable()
	if err != nil {
		logf(levelError, "%v", err)
		return exitSoftware
	}
	read, write, err := os.Pipe()
	if err != nil {
		logf(levelError, "%v", err)
		return exitSoftware
	}
	cmd := exec.Command(program, os.Args[1:]...) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), readyEnv+"=1")
	cmd.Stderr = os.Stderr // until it serves
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		logf(levelError, "starting in the background: %v", err)
		return exitSoftware
	}
	write.Close()
	if n, _ := read.Read(make([]byte, 1)); n == 1 {
		return exitOK
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return exitConfig
}

// foregroundPipe returns the pipe to the process that has called background, or nil.
func foregroundPipe() *os.File {
	if os.Getenv(readyEnv) == "" {
		return nil
	}
	os.Unsetenv(readyEnv)
	syscall.CloseOnExec(3)
	return os.NewFile(3, "ready")
}
