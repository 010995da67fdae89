package phpbin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
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
		_ = conn.Control(func(fd uintptr) { c.exitStatus = readExitStatus(int(fd)) })
		_ = file.Close()
		close(c.done)
	}()
	return c, nil
}

// readExitStatus says how the process behind a pidfd has ended, also where it was not
// our child: by PIDFD_GET_INFO, which knows it since Linux 6.15, from the moment
// at which its parent has reaped it. A master does so at once, but on a busy
// machine it may have to wait for its turn.
func readExitStatus(fd int) string {
	gone := false
	for range 50 {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(fd, &info)
		if errors.Is(err, unix.ESRCH) && !gone {
			// Reaped between the kernel's look at how it ended and that at the
			// process itself, or it has no such field.
			gone = true
			continue
		}
		if err != nil {
			return "" // no such call
		}
		if info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return formatWaitStatus(syscall.WaitStatus(info.Exit_code))
		}
		time.Sleep(time.Millisecond)
	}
	return ""
}

// formatWaitStatus is os.ProcessState.String for a process that is not our child.
func formatWaitStatus(status syscall.WaitStatus) string {
	switch {
	case status.Signaled() && status.CoreDump():
		return "signal: " + status.Signal().String() + " (core dumped)"
	case status.Signaled():
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// readable reports whether a pidfd is readable, which it is when its process
// has ended.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1
}

// pidfds reports whether the kernel has pidfd_open (Linux 5.3) and lets us.
func checkPidfds() error {
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

// softTimeout is the signal of PHP's own time limit, where that is a timer for
// processor time (ITIMER_PROF): not in a thread-safe PHP.
const softTimeout = syscall.SIGPROF

// killCopies kills what a script has forked of its own process (pcntl_fork), and
// what that has forked: such a copy goes on as php-cgi, with the connection and
// the socket of its original. Programs that a script has started are let be. As
// long as the process exists its number cannot have gone to another one.
func killCopies(pid int, exists func() bool) {
	self := procfs.ReadLink(pid, "exe")
	if self == "" {
		return
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return
	}
	for field := range strings.FieldsSeq(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			continue
		}
		fd, err := unix.PidfdOpen(child, 0)
		if err != nil {
			continue
		}
		seen, err := procfs.ReadStat(child)
		if err == nil && seen.PPID == pid && procfs.ReadLink(child, "exe") == self && exists() {
			killCopies(child, func() bool { return unix.PidfdSendSignal(fd, 0, nil, 0) == nil })
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}
