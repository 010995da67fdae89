package phpbin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// KillOrphans ends the php-cgi that have outlived the process that started
// them, which takes that its watchdog was killed too, and says which those
// were. Call it before anything is started. It looks where the options to come
// have their RuntimeDir, and ends what has the name of a php-cgi or is one of
// their Binary, whatever it does: masters, children, and copies that scripts
// made. It touches nothing of a process that is alive, nor of another
// container, and no other program: what a script has started is let be.
//
// It also removes the directories of sockets that such a process has left.
//
// What it goes by is told in the package's comment, and at mark. Where nothing
// is left it costs one look into /proc/net/unix and the directory, 0.3 ms.
func KillOrphans(next ...Options) ([]Orphan, error) {
	me, err := currentTag()
	if err != nil {
		return nil, fmt.Errorf("looking for php-cgi that an earlier process left: %w", err)
	}
	if len(next) == 0 {
		next = []Options{{}}
	}
	f := &orphanScanner{pidNS: me.pidNS, failed: map[int]error{}}
	for _, o := range next {
		dir := o.RuntimeDir
		if dir == "" {
			dir = os.TempDir()
		}
		f.dirs = append(f.dirs, filepath.Clean(dir))
		if path, err := filepath.EvalSymlinks(o.Binary); err == nil {
			f.binaries = append(f.binaries, path)
		}
	}
	slices.Sort(f.dirs)
	f.dirs = slices.Compact(f.dirs)
	ended, err := f.killAll()
	for _, dir := range f.dirs {
		f.removeDirs(dir)
	}
	return ended, err
}

// finder finds what processes that are dead have left.
type orphanScanner struct {
	pidNS    uint64   // our pid namespace
	dirs     []string // where sockets are made
	binaries []string
	failed   map[int]error // what could not be killed
}

// end kills until there is nothing left to kill: a master that is killed last
// has forked anew meanwhile.
func (f *orphanScanner) killAll() ([]Orphan, error) {
	var ended []Orphan
	deadline := time.Now().Add(killGrace)
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		found, err := f.killOnce()
		for _, l := range found {
			if !slices.Contains(ended, l) {
				ended = append(ended, l)
			}
		}
		if err == nil && len(found) > 0 && time.Now().After(deadline) {
			err = fmt.Errorf("php-cgi %d was killed but does not end", found[0].PID)
		}
		if err != nil || len(found) == 0 {
			for _, failure := range f.failed {
				err = errors.Join(err, failure)
			}
			return ended, err
		}
		time.Sleep(wait)
	}
}

// kill looks once, and kills what it finds.
func (f *orphanScanner) killOnce() ([]Orphan, error) {
	sockets, err := f.orphanSockets()
	if err != nil || len(sockets) == 0 {
		return nil, err
	}
	list, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	var killed []Orphan
	for _, pid := range list {
		if _, ok := sockets[procfs.ReadLink(pid, "fd/0")]; !ok || f.failed[pid] != nil {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			f.failed[pid] = fmt.Errorf("php-cgi %d that an earlier process left: pidfd_open: %w", pid, err)
			continue
		}
		// Looked at again now: the number may have gone to another one.
		l, ok := f.checkOrphan(pid, sockets)
		if ok {
			switch err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); {
			case err == nil:
				killed = append(killed, l)
			case !errors.Is(err, unix.ESRCH):
				f.failed[pid] = fmt.Errorf("killing php-cgi %d that process %d left: %w", pid, l.OwnerPID, err)
			}
		}
		_ = unix.Close(fd)
	}
	return killed, nil
}

// examine reports whether a process is a leftover.
func (f *orphanScanner) checkOrphan(pid int, sockets map[string]ownerTag) (Orphan, bool) {
	owner, ok := sockets[procfs.ReadLink(pid, "fd/0")]
	exe := strings.TrimSuffix(procfs.ReadLink(pid, "exe"), " (deleted)") // by an upgrade
	if !ok || !f.isPHP(exe) || hasAncestor(pid, owner.pid) {
		return Orphan{}, false
	}
	return Orphan{PID: pid, OwnerPID: owner.pid, Binary: exe}, true
}

// isPHP goes by names, which packages and their upgrades change a little
// (php8.2-cgi, .php-cgi-wrapped, php-cgi.dpkg-tmp). A program that a script has
// started may have inherited the socket.
func (f *orphanScanner) isPHP(exe string) bool {
	name := strings.ToLower(filepath.Base(exe))
	return strings.Contains(name, "php") && strings.Contains(name, "cgi") || slices.Contains(f.binaries, exe)
}

// descends reports whether a process has another one above it. What is left by
// a process that is dead has not, so this one lives, whatever its start time
// looks like from here (it is another one in another time namespace, and after
// a container was checkpointed and restored).
func hasAncestor(pid, from int) bool {
	for pid > 1 {
		s, err := procfs.ReadStat(pid)
		if err != nil {
			return false
		}
		if s.PPID == from {
			return true
		}
		pid = s.PPID
	}
	return false
}

// sockets are those that were made by processes of our pid namespace that are
// dead, as /proc/PID/fd shows them.
func (f *orphanScanner) orphanSockets() (map[string]ownerTag, error) {
	data, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	return f.parseSockets(data), nil
}

// abandoned reads /proc/net/unix.
func (f *orphanScanner) parseSockets(data []byte) map[string]ownerTag {
	found, seen := map[string]ownerTag{}, map[string]bool{}
	for line := range strings.Lines(string(data)) {
		// Address, count, protocol, flags, type, state, inode, and a path that
		// may hold anything.
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		link := "socket:[" + fields[6] + "]"
		if seen[link] {
			// A line break in its name lets any user's socket pass for another's,
			// but not hide that one.
			delete(found, link)
			continue
		}
		seen[link] = true
		if o, ok := f.deadOwner(strings.TrimSuffix(line, "\n")); ok {
			found[link] = o
		}
	}
	return found
}

// left reads from what ends in the path of a socket who made it, if that was a
// process of our pid namespace that is dead.
func (f *orphanScanner) deadOwner(line string) (ownerTag, bool) {
	dir, name := filepath.Split(line)
	dir = filepath.Clean(dir)
	o, ok := parseOwnerTag(filepath.Base(dir))
	if !ok || name != socketName || o.pidNS != f.pidNS {
		return ownerTag{}, false
	}
	here := slices.ContainsFunc(f.dirs, func(d string) bool {
		return strings.HasSuffix(line, " "+filepath.Join(d, filepath.Base(dir), name))
	})
	return o, here && !o.alive()
}

// clear removes the directories of sockets that a process had no time to remove
// before it was killed. Any user can make one that is called so: it has to be
// ours, and is entered but once.
func (f *orphanScanner) removeDirs(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		o, ok := parseOwnerTag(entry.Name())
		if !ok || o.pidNS != f.pidNS || o.alive() {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && int(st.Uid) == os.Geteuid() {
			_ = unix.Unlinkat(fd, socketName, 0)
			_ = unix.Rmdir(path) // fails unless it is empty
		}
		_ = unix.Close(fd)
	}
}
