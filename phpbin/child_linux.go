package phpbin

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchPidfd watches the process behind a pidfd, which it takes over. It parks
// one goroutine in Go's netpoller: no thread, however many workers there are.
// ended, if any, runs before done is closed.
func watchPidfd(pid, fd int, ended func()) (*child, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl pidfd", err)
	}
	file := os.NewFile(uintptr(fd), "pidfd") // non-blocking, so it goes to the netpoller
	conn, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	c := &child{
		pid:    pid,
		done:   make(chan struct{}),
		forget: func() { _ = file.Close() },
		send: func(sig syscall.Signal) error {
			sent := os.ErrProcessDone // also where the file is closed
			_ = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
			if errors.Is(sent, unix.ESRCH) {
				return os.ErrProcessDone
			}
			return sent
		},
	}
	go func() {
		err := conn.Read(func(fd uintptr) bool { return readable(int(fd)) })
		if err != nil { // forgotten
			return
		}
		if ended != nil {
			ended()
		}
		_ = file.Close()
		close(c.done)
	}()
	return c, nil
}

// readable reports whether a pidfd is readable, which it is when its process
// has ended.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1
}

// pidfds reports whether the kernel has pidfd_open (Linux 5.3) and lets us.
func pidfds() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	_ = unix.Close(fd)
	return nil
}

// watch watches a process that we started, and reaps it.
func watch(cmd *exec.Cmd, ended func()) *child {
	fd := -1
	if p := cmd.SysProcAttr.PidFD; p != nil {
		fd = *p
	}
	if fd >= 0 {
		c, err := watchPidfd(cmd.Process.Pid, fd, func() {
			_ = cmd.Wait() // at once, it has ended; how is in cmd.ProcessState
			ended()
		})
		if err == nil {
			return c
		}
	}
	return watchCmd(cmd, ended)
}
