package phpbin

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// reapAfter is how long an unclaimed zombie stays at least, and at most twice that.
const reapAfter = 2 * time.Second

var reapOnce sync.Once

// reapOrphans starts a goroutine, once, that reaps zombies which are our children
// but were not started here. If we are process 1, as in a container, those are the
// workers of a master that has died, and programs that scripts have started without
// waiting for them. No other process reaps them, and too many zombies exhaust the
// pids. (group.remaining reaps those of its group at once.)
//
// Processes that were started here must be reaped by their starter: package os
// holds a pidfd of them until Wait, also in other modules of the web server. If it
// cannot, before Linux 5.4, nothing is reaped, because a stolen exit status is worse
// than a zombie. Code that waits by pid blocks in wait4 and so comes first, because
// a zombie is reaped only when it was seen twice, seconds apart.
func reapOrphans() {
	reapOnce.Do(func() {
		if !inheritsOrphans() || !osHoldsPidfds() || procfs.CheckPIDNamespace() != nil {
			return
		}
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, unix.SIGCHLD)
		go func() {
			reapUnclaimed() // zombies that exist already
			for range ended {
				reapUnclaimed()
			}
		}()
	})
}

// inheritsOrphans reports whether processes whose parent dies become our children:
// those of our pid namespace (we are process 1), or our descendants (subreaper).
func inheritsOrphans() bool {
	var subreaper int32
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0)
	return os.Getpid() == 1 || errno == 0 && subreaper != 0
}

// osHoldsPidfds reports whether package os holds a pidfd of each process it starts.
func osHoldsPidfds() bool {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return false
	}
	defer func() { _ = self.Release() }()
	return self.WithHandle(func(uintptr) {}) == nil
}

// reapUnclaimed scans until it finds no new zombie, and reaps those that it finds
// twice.
func reapUnclaimed() {
	var before map[int]uint64
	for more := true; more; {
		time.Sleep(reapAfter)
		now, err := zombieChildren()
		if err != nil {
			return
		}
		var again []int
		more = false
		for pid, start := range now {
			if known, ok := before[pid]; ok && known == start {
				again = append(again, pid)
			} else {
				more = true
			}
		}
		before = now
		if len(again) > 0 {
			reap(again)
		}
	}
}

// reap reaps the zombies of which no pidfd is held.
func reap(pids []int) {
	held, err := heldByPidfd()
	if err != nil {
		return
	}
	for _, pid := range pids {
		if !held[pid] {
			_ = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG, nil)
		}
	}
}

// zombieChildren returns our children that are zombies, with their start times.
func zombieChildren() (map[int]uint64, error) {
	var first unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &first, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil || first.Signo == 0 {
		return nil, err // the usual case: their starters have reaped them
	}
	self := os.Getpid()
	list, err := procfs.Processes(func(s procfs.Stat) bool { return s.Zombie() && s.PPID == self })
	found := map[int]uint64{}
	for _, s := range list {
		found[s.PID] = s.StartTime
	}
	return found, err
}

// heldByPidfd returns the processes of which this process holds a pidfd.
func heldByPidfd() (map[int]bool, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	found := map[int]bool{}
	for _, entry := range entries {
		link, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		if !strings.Contains(link, "pidfd") { // anon_inode:[pidfd], or pidfd:[4711] since Linux 6.9
			continue
		}
		info, _ := os.ReadFile("/proc/self/fdinfo/" + entry.Name()) // on error it has been closed
		_, rest, _ := strings.Cut(string(info), "\nPid:")
		line, _, _ := strings.Cut(rest, "\n")
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			found[pid] = true
		}
	}
	return found, nil
}
