package phpbin

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// childrenTick is how often the children of a master are listed: one small file.
var childrenTick = 2 * time.Second

// stormTicks is in how many consecutive ticks preforked children must have exited.
const stormTicks = 3

// watchChildren looks for a master whose preforked children exit instead of waiting for
// a connection, so that it forks without end. That costs up to a processor and is seen
// nowhere else. It happens when a program that a script has started, which inherits
// the listening socket, has made it non-blocking or has shut it down. Such a master gets its
// socket repaired, or is killed, which starts a new generation.
func (s *Shared) watchChildren() {
	ticker := time.NewTicker(childrenTick)
	defer ticker.Stop()
	unused, storm := map[int]bool{}, 0
	for {
		select {
		case <-s.closing:
			return
		case <-s.master.done:
			return
		case <-ticker.C:
		}
		now, err := childrenOf(s.master.pid)
		if err != nil { // the kernel has no such file, or the master has exited
			return
		}
		exited, next := s.unusedChildren(unused, now)
		unused = next
		if exited == 0 {
			storm = 0
			continue
		}
		if storm++; storm == stormTicks {
			storm = 0
			s.endStorm()
		}
	}
}

// unusedChildren returns how many of the children in before, which had not served, have
// exited since without serving, and those of now that have not served.
func (s *Shared) unusedChildren(before map[int]bool, now []int) (exited int, unused map[int]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unused = map[int]bool{}
	for _, pid := range now {
		if s.children[pid] == nil {
			unused[pid] = true
		}
	}
	for pid := range before {
		if !unused[pid] && s.children[pid] == nil && !s.connected[pid] {
			exited++
		}
	}
	s.connected = map[int]bool{}
	return exited, unused
}

// endStorm makes the socket blocking again, if it is not, or kills the master.
func (s *Shared) endStorm() {
	cleared, err := clearNonblock(s.master.pid)
	if cleared {
		s.opts.Notice("the socket of the workers was non-blocking, so that preforked children exited; corrected",
			errors.New("a program that a script has started changed it"))
		return
	}
	s.opts.Notice("preforked children exit without a request; replacing the master", err)
	_ = s.master.kill()
}

// clearNonblock makes the listening sockets of a process blocking, if they are not. It
// needs the right to ptrace the process, which root does not have in an ordinary container
// if it is of another user.
func clearNonblock(pid int) (cleared bool, err error) {
	err = errors.New("their exit status is unknown")
	pidfd, openErr := unix.PidfdOpen(pid, 0)
	if openErr != nil {
		return false, os.NewSyscallError("pidfd_open", openErr)
	}
	defer unix.Close(pidfd)
	for n, link := range procfs.ReadFDs(pid) {
		if !strings.HasPrefix(link, "socket:") {
			continue
		}
		fd, getErr := unix.PidfdGetfd(pidfd, n, 0)
		if getErr != nil {
			err = os.NewSyscallError("pidfd_getfd", getErr)
			continue
		}
		if flags, flagErr := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flagErr == nil && flags&unix.O_NONBLOCK != 0 && listens(fd) {
			_, setErr := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_NONBLOCK)
			cleared = cleared || setErr == nil
		}
		_ = unix.Close(fd)
	}
	return cleared, err
}

func listens(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// childrenOf lists the children of a process that has one thread.
func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var list []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			list = append(list, child)
		}
	}
	return list, nil
}
