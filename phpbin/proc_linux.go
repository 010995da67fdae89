package phpbin

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
)

// stat is a part of /proc/PID/stat, proc_pid_stat(5).
type stat struct {
	pid, ppid, pgid int
	zombie          bool
	cpu             time.Duration
	start           uint64 // when it was started, in clock ticks since boot
}

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(pid, data)
}

func parseStat(pid int, data []byte) (stat, error) {
	// The second field is the name in parentheses, which may hold anything.
	_, rest, ok := strings.Cut(string(data[max(0, bytes.LastIndexByte(data, ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	var n [13]int
	var err error
	for _, i := range []int{1, 2, 11, 12} {
		if n[i], err = strconv.Atoi(fields[i]); err != nil {
			return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return stat{
		pid: pid, ppid: n[1], pgid: n[2],
		zombie: fields[0] == "Z" || fields[0] == "X",
		cpu:    time.Duration(n[11]+n[12]) * clockTick,
		start:  start,
	}, nil
}

// numbers lists the processes there are.
func pids() ([]int, error) {
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

// processes lists the processes for which ok says so.
func processes(ok func(stat) bool) ([]stat, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	var list []stat
	for _, pid := range all {
		if s, err := readStat(pid); err == nil && ok(s) { // an error: it has ended meanwhile
			list = append(list, s)
		}
	}
	return list, nil
}

// scan is the latest look at all processes. A launcher that ends asks again
// and again who is left of its group. If each looked for itself, hundreds of
// them that end together, with thousands of processes, would take minutes; so
// they share what was seen by whoever began to look after they asked.
var scan struct {
	begun  atomic.Uint64 // scans
	mu     sync.Mutex    // held while somebody looks; guards what follows
	groups map[int][]stat
	err    error
}

// members lists the processes of a process group, as they are now.
func groupMembers(pgid int) ([]stat, error) {
	before := scan.begun.Load()
	scan.mu.Lock()
	defer scan.mu.Unlock()
	if scan.begun.Load() == before {
		scan.begun.Add(1)
		scan.groups, scan.err = byGroup()
	}
	return scan.groups[pgid], scan.err
}

// byGroup lists all processes by their groups.
func byGroup() (map[int][]stat, error) {
	groups := map[int][]stat{}
	all, err := processes(func(stat) bool { return true })
	for _, s := range all {
		groups[s.pgid] = append(groups[s.pgid], s)
	}
	return groups, err
}

// usage reads what a process has in memory, in bytes: private is what it has
// for itself, pss adds its share of what it has in common with others.
func usage(pid int) (private, pss int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseUsage(pid, data)
}

func parseUsage(pid int, data []byte) (private, pss int64, err error) {
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		var sum *int64
		switch name {
		case "Private_Dirty", "Private_Hugetlb":
			// Not Private_Clean: pages of files, which the next process maps again
			// and which are private only while nobody else runs the program.
			sum = &private
		case "Pss":
			sum = &pss
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/smaps_rollup: %w", pid, err)
		}
		*sum += kib << 10
	}
	return private, pss, nil
}

// cpuTime is the processor time that a process has used; 0 when it has ended.
func cpuTime(pid int) time.Duration {
	s, err := readStat(pid)
	if err != nil {
		return 0
	}
	return s.cpu
}

// softTimeout is the signal of PHP's own time limit, where that is a timer for
// processor time (ITIMER_PROF): not in a thread-safe PHP.
const softTimeout = syscall.SIGPROF

// killCopies kills what a script has forked of its own process (pcntl_fork), and
// what that has forked: such a copy goes on as php-cgi, with the connection and
// the socket of its original. Programs that a script has started are let be. As
// long as the process exists its number cannot have gone to another one.
func killCopies(pid int, exists func() bool) {
	self := readLink(pid, "exe")
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
		seen, err := readStat(child)
		if err == nil && seen.ppid == pid && readLink(child, "exe") == self && exists() {
			killCopies(child, func() bool { return unix.PidfdSendSignal(fd, 0, nil, 0) == nil })
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}

// readLink reads a link below /proc/PID; it is empty if that cannot be. Those of
// another user's process take CAP_SYS_PTRACE, which root has not in an ordinary
// container; but root may ask as that user (ptrace(2), "Ptrace access mode
// checking"). That leaves this process without core dumps, as does any start of
// a process as another user.
func readLink(pid int, name string) string {
	dir := fmt.Sprintf("/proc/%d", pid)
	link, err := os.Readlink(dir + "/" + name)
	if err == nil || !errors.Is(err, os.ErrPermission) || os.Geteuid() != 0 {
		return link
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	user, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	done := make(chan struct{})
	go onOwnThread(func() { // which ends with it
		defer close(done)
		_ = unix.Setfsgid(int(user.Gid))
		_ = unix.Setfsuid(int(user.Uid))
		link, _ = os.Readlink(dir + "/" + name)
	})
	<-done
	return link
}
