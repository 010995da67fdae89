package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"
)

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// ReadStat reads /proc/PID/stat.
func ReadStat(pid int) (Stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(pid, data)
}

func parseStat(pid int, data []byte) (Stat, error) {
	// The second field is the name in parentheses, which may contain anything.
	_, rest, ok := strings.Cut(string(data[max(0, bytes.LastIndexByte(data, ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return Stat{}, fmt.Errorf("cannot parse /proc/%d/stat", pid)
	}
	var n [13]int
	var err error
	for _, i := range []int{1, 2, 11, 12} {
		if n[i], err = strconv.Atoi(fields[i]); err != nil {
			return Stat{}, fmt.Errorf("cannot parse /proc/%d/stat: %w", pid, err)
		}
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("cannot parse /proc/%d/stat: %w", pid, err)
	}
	return Stat{
		PID: pid, PPID: n[1], PGID: n[2],
		State:     fields[0][0],
		CPU:       time.Duration(n[11]+n[12]) * clockTick,
		StartTime: start,
	}, nil
}

// PIDs lists all processes.
func PIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list, nil
}

// Processes lists the processes that match.
func Processes(match func(Stat) bool) ([]Stat, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	var list []Stat
	for _, pid := range pids {
		if s, err := ReadStat(pid); err == nil && match(s) { // on error it has exited meanwhile
			list = append(list, s)
		}
	}
	return list, nil
}

// scan is the latest scan of all processes. A launcher that closes polls which
// processes of its group remain. If each launcher scanned /proc by itself,
// hundreds that close at the same time, with thousands of processes, would take
// minutes; so callers share the first scan that starts after they called.
var scan struct {
	starts atomic.Uint64 // the number of scans that were started
	mu     sync.Mutex    // held during a scan; guards what follows
	groups map[int][]Stat
	err    error
}

// Group lists the members of a process group, as they are now.
func Group(pgid int) ([]Stat, error) {
	before := scan.starts.Load()
	scan.mu.Lock()
	defer scan.mu.Unlock()
	if scan.starts.Load() == before {
		scan.starts.Add(1)
		scan.groups, scan.err = byGroup()
	}
	return scan.groups[pgid], scan.err
}

func byGroup() (map[int][]Stat, error) {
	if err := CheckPIDNamespace(); err != nil {
		return nil, err // the numbers are those of other processes
	}
	groups := map[int][]Stat{}
	all, err := Processes(func(Stat) bool { return true })
	for _, s := range all {
		groups[s.PGID] = append(groups[s.PGID], s)
	}
	return groups, err
}

// PrivateMemory returns how many bytes of memory the process shares with no other
// one. Its exit would free them.
func PrivateMemory(pid int) (int64, error) {
	var data []byte
	err := Inspect(pid, func(dir string) (err error) {
		data, err = os.ReadFile(dir + "/smaps_rollup")
		return err
	})
	if err != nil {
		return 0, err
	}
	return parsePrivateMemory(pid, data)
}

func parsePrivateMemory(pid int, data []byte) (int64, error) {
	var sum int64
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(line, ":")
		// Not Private_Clean: these are pages of files, which the next process maps
		// again, and which are private only while no other process runs the program.
		if !ok || name != "Private_Dirty" && name != "Private_Hugetlb" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot parse /proc/%d/smaps_rollup: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// CPUTime returns the processor time that the process has used; 0 after its exit.
func CPUTime(pid int) time.Duration {
	s, err := ReadStat(pid)
	if err != nil {
		return 0
	}
	return s.CPU
}

// CheckPIDNamespace returns an error unless /proc numbers processes as this
// process does. It may have been mounted for another pid namespace.
func CheckPIDNamespace() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("/proc is mounted for another pid namespace: our pid is %d, and %s there", os.Getpid(), self)
	}
	return nil
}

// ReadLink reads a symbolic link below /proc/PID, and returns "" if it cannot.
func ReadLink(pid int, name string) string {
	var link string
	_ = Inspect(pid, func(dir string) (err error) {
		link, err = os.Readlink(dir + "/" + name)
		return err
	})
	return link
}

// ReadFDs returns the targets of the links in /proc/PID/fd by number: the path of a
// file, or the kind and the inode as in "socket:[4711]". It returns none if it cannot
// read them.
func ReadFDs(pid int) map[int]string {
	links := map[int]string{}
	_ = Inspect(pid, func(dir string) error {
		entries, err := os.ReadDir(dir + "/fd")
		for _, entry := range entries {
			link, linkErr := os.Readlink(dir + "/fd/" + entry.Name())
			if n, atoiErr := strconv.Atoi(entry.Name()); linkErr == nil && atoiErr == nil {
				links[n] = link
			} else if linkErr != nil && !errors.Is(linkErr, os.ErrNotExist) {
				err = linkErr
			}
		}
		return err
	})
	return links
}

// Inspect calls access with /proc/PID and returns its error.
//
// Reading the links or the memory map of another user's process takes CAP_SYS_PTRACE,
// which root does not have in an ordinary container. But with CAP_SETUID it is possible
// as that user (ptrace(2), "Ptrace access mode checking"): access is then called again.
// That makes this process non-dumpable, as starting any process as another user does.
func Inspect(pid int, access func(dir string) error) error {
	dir := fmt.Sprintf("/proc/%d", pid)
	err := access(dir)
	if err == nil || !errors.Is(err, os.ErrPermission) || !canSetUID() {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.ErrPermission
	}
	done := make(chan struct{})
	osthread.Go(func() { // the thread ends, and its identity with it
		defer close(done)
		_ = unix.Setfsgid(int(owner.Gid))
		_ = unix.Setfsuid(int(owner.Uid))
		err = access(dir)
	})
	<-done
	return err
}

// canSetUID reports whether CAP_SETUID is effective.
func canSetUID() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SETUID) != 0
}
