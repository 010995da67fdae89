package phpbin

import (
	"os"
	"os/exec"
	"syscall"
)

// child is a process that is watched: its end is seen, and what is sent to it
// reaches it or nobody, never another process that was given its number.
type child struct {
	pid        int
	done       chan struct{} // closed when it has ended
	exitStatus string        // it ended, in words; readable when done is closed, "" if unknown

	// send sends a signal; os.ErrProcessDone when it has ended.
	send func(sig syscall.Signal) error

	// forget stops watching a process that goes on without us.
	forget func()
}

func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// kill sends SIGKILL; that there is nobody left to kill is no error.
func (c *child) kill() error {
	if err := c.send(syscall.SIGKILL); err != nil && c.alive() && err != os.ErrProcessDone { //nolint:errorlint // returned bare
		return err
	}
	return nil
}

// watchCmd watches a process that we started where there is nothing better: it
// costs an operating-system thread as long as the process lives. ended runs
// before done is closed.
func watchCmd(cmd *exec.Cmd, ended func()) *child {
	c := &child{
		pid:    cmd.Process.Pid,
		done:   make(chan struct{}),
		forget: func() {},
		send:   func(sig syscall.Signal) error { return cmd.Process.Signal(sig) },
	}
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		c.exitStatus = cmd.ProcessState.String()
		ended()
		close(c.done)
	}()
	return c
}
