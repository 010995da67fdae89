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

// reapAfter is how long a zombie that is nobody's stays at least; it may be
// twice that.
const reapAfter = 2 * time.Second

var reapOnce sync.Once

// reapOrphans reaps, from its first call to our end, children of ours that have
// ended and that nobody here started. Where we are process 1, as in a container,
// those are the workers of a master that has died, and what scripts start and do
// not wait for. Nobody else would reap them, and where enough zombies are
// nothing can be started any more. (What is left of a group at its end it reaps
// at once: see group.left.)
//
// What was started here is left to who started it: package os, in whichever
// module of the web server, holds a pidfd of it until Wait. Where it cannot,
// before Linux 5.4, nothing is reaped: a stolen exit status is worse than a
// zombie. Whoever waits by number alone is asleep in wait4 and comes first,
// because what is reaped has been seen twice, seconds apart.
//
// It costs a goroutine that sleeps until a child ends.
func reapOrphans() {
	reapOnce.Do(func() {
		if !inheritsOrphans() || !osHoldsPidfds() || procfs.CheckPIDNamespace() != nil {
			return
		}
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, unix.SIGCHLD)
		go func() {
			reapUnclaimed() // those of the time before
			for range ended {
				reapUnclaimed()
			}
		}()
	})
}

// inheritsOrphans reports whether processes that lose their parent become our
// children: those of our pid namespace, or those that descend from us.
func inheritsOrphans() bool {
	var subreaper int32
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0)
	return os.Getpid() == 1 || errno == 0 && subreaper != 0
}

// osHoldsPidfds reports whether package os has a pidfd of what it starts.
func osHoldsPidfds() bool {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return false
	}
	defer func() { _ = self.Release() }()
	return self.WithHandle(func(uintptr) {}) == nil
}

// reapUnclaimed looks until it sees no new zombie.
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

// reap reaps those of the zombies that are nobody's.
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

// zombies are our children that have ended, with their start times.
func zombieChildren() (map[int]uint64, error) {
	var first unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &first, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil || first.Signo == 0 {
		return nil, err // mostly: those who started them have waited for them
	}
	self := os.Getpid()
	list, err := procfs.Processes(func(s procfs.Stat) bool { return s.Zombie() && s.PPID == self })
	found := map[int]uint64{}
	for _, s := range list {
		found[s.PID] = s.StartTime
	}
	return found, err
}

// claimed are the processes that this one holds a pidfd of.
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
		info, _ := os.ReadFile("/proc/self/fdinfo/" + entry.Name()) // an error: it has been closed
		_, rest, _ := strings.Cut(string(info), "\nPid:")
		line, _, _ := strings.Cut(rest, "\n")
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			found[pid] = true
		}
	}
	return found, nil
}
