package phpbin

import (
	"os"
	"os/exec"
	"syscall"
)

// child is a process that is watched for its exit. A signal reaches this process or
// none, never another one that was given its pid.
type child struct {
	pid        int
	done       chan struct{} // closed when it has exited
	exitStatus string        // as text; may be read after done is closed; "" if unknown

	// send sends a signal. It returns os.ErrProcessDone if the process has exited.
	send func(sig syscall.Signal) error
}

func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// kill sends SIGKILL. It is not an error if the process has exited.
func (c *child) kill() error {
	if err := c.send(syscall.SIGKILL); err != nil && c.alive() && err != os.ErrProcessDone { //nolint:errorlint // returned bare
		return err
	}
	return nil
}

// watchCmd watches a process that was started here, on systems without pidfds. It
// occupies an operating-system thread until the process exits. onExit is called
// before done is closed.
func watchCmd(cmd *exec.Cmd, onExit func()) *child {
	c := &child{
		pid:  cmd.Process.Pid,
		done: make(chan struct{}),
		send: func(sig syscall.Signal) error { return cmd.Process.Signal(sig) },
	}
	go func() {
		_ = cmd.Wait() // the result is in cmd.ProcessState
		c.exitStatus = cmd.ProcessState.String()
		onExit()
		close(c.done)
	}()
	return c
}
