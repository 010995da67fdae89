package phpbin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// softTimeout is the signal of PHP's own time limit, a timer for processor time
// (ITIMER_PROF). A thread-safe PHP does not handle it.
const softTimeout = syscall.SIGPROF

// watch watches a process that was started here, and reaps it.
func watch(cmd *exec.Cmd, onExit func()) *child {
	fd := -1
	if p := cmd.SysProcAttr.PidFD; p != nil {
		fd = *p
	}
	if fd >= 0 {
		c, err := watchPidfd(cmd.Process.Pid, fd, func() {
			_ = cmd.Wait() // returns at once; the result is in cmd.ProcessState
			onExit()
		})
		if err == nil {
			return c
		}
	}
	return watchCmd(cmd, onExit)
}

// watchWatchdog watches a watchdog and reaps it. onExit is called before it is reaped.
// It returns nil if the kernel has no pidfds.
func watchWatchdog(cmd *exec.Cmd, onExit func()) *child {
	fd := *cmd.SysProcAttr.PidFD
	if fd < 0 {
		return nil
	}
	c, err := watchPidfd(cmd.Process.Pid, fd, func() {
		onExit()
		_ = cmd.Wait() // returns at once
	})
	if err != nil {
		return nil
	}
	return c
}

// watchPidfd watches the process of a pidfd, which it takes over. It parks one
// goroutine in Go's netpoller and occupies no thread. onExit, if not nil, is called
// before done is closed.
func watchPidfd(pid, fd int, onExit func()) (*child, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl pidfd", err)
	}
	file := os.NewFile(uintptr(fd), "pidfd") // uses the netpoller, as fd is non-blocking
	conn, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	c := &child{
		pid:  pid,
		done: make(chan struct{}),
		send: func(sig syscall.Signal) error {
			sendErr := os.ErrProcessDone // also if file is closed
			_ = conn.Control(func(fd uintptr) { sendErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
			if errors.Is(sendErr, unix.ESRCH) {
				return os.ErrProcessDone
			}
			return sendErr
		},
	}
	go func() {
		if err := conn.Read(func(fd uintptr) bool { return readable(int(fd)) }); err != nil {
			return
		}
		if onExit != nil {
			onExit()
		}
		_ = conn.Control(func(fd uintptr) { c.exitStatus = readExitStatus(int(fd)) })
		_ = file.Close()
		close(c.done)
	}()
	return c, nil
}

// readExitStatus returns the exit status of a process that may not be our child,
// by PIDFD_GET_INFO (Linux 6.15). The kernel has it when the parent has reaped the
// process. A master does that at once, but may have to wait for a processor.
func readExitStatus(fd int) string {
	retried := false
	for range 50 {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(fd, &info)
		if errors.Is(err, unix.ESRCH) && !retried {
			// The process was reaped between the kernel's check for an exit status and
			// its check for the process, or the kernel has no such field.
			retried = true
			continue
		}
		if err != nil {
			return "" // not supported
		}
		if info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return formatWaitStatus(syscall.WaitStatus(info.Exit_code))
		}
		time.Sleep(time.Millisecond)
	}
	return ""
}

// formatWaitStatus formats status as os.ProcessState.String does.
func formatWaitStatus(status syscall.WaitStatus) string {
	switch {
	case status.Signaled() && status.CoreDump():
		return "signal: " + status.Signal().String() + " (core dumped)"
	case status.Signaled():
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// readable reports whether a pidfd is readable, which means that its process has
// exited.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1
}

// checkPidfds returns an error if the kernel has no pidfd_open (Linux 5.3) or
// denies it.
func checkPidfds() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	_ = unix.Close(fd)
	return nil
}

// killCopies kills the forks that a script has made of its process (pcntl_fork),
// and their forks: such a copy goes on as php-cgi, with the connection and the
// socket of the original. Other programs that a script has started are spared.
// exists must report whether the process exists, because then its pid was not
// reused.
func killCopies(pid int, exists func() bool) {
	exe := procfs.ReadLink(pid, "exe")
	if exe == "" {
		return
	}
	killChildren(pid, exists, func(child int) bool { return procfs.ReadLink(child, "exe") == exe })
}

// killDescendants kills all descendants of a process.
func killDescendants(pid int, exists func() bool) {
	killChildren(pid, exists, func(int) bool { return true })
}

// killChildren kills the descendants of a process that match, and whose parents match.
func killChildren(pid int, exists func() bool, match func(child int) bool) {
	list, err := childrenOf(pid)
	if err != nil {
		return
	}
	for _, child := range list {
		fd, err := unix.PidfdOpen(child, 0)
		if err != nil {
			continue
		}
		stat, err := procfs.ReadStat(child)
		if err == nil && stat.PPID == pid && match(child) && exists() {
			killChildren(child, func() bool { return unix.PidfdSendSignal(fd, 0, nil, 0) == nil }, match)
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}
