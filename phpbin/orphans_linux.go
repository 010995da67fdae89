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

// killOrphans finds orphans by their listening socket. /proc/net/unix shows the
// path to which a socket was bound for as long as a process holds it, even after
// the file was removed, and the path contains the tag of the owner (ownerTag). So
// nothing has to be stored on disk. A php-cgi that a script has started inherits the
// socket, and ends with the others.
func killOrphans(next []Options) ([]Orphan, error) {
	self, err := currentTag()
	if err != nil {
		return nil, fmt.Errorf("searching for orphaned php-cgi processes: %w", err)
	}
	if len(next) == 0 {
		next = []Options{{}}
	}
	s := &orphanScanner{pidNS: self.pidNS, failed: map[int]error{}}
	for _, o := range next {
		dir := o.RuntimeDir
		if dir == "" {
			dir = os.TempDir()
		}
		s.dirs = append(s.dirs, filepath.Clean(dir))
		if path, err := filepath.EvalSymlinks(o.Binary); err == nil {
			s.binaries = append(s.binaries, path)
		}
	}
	slices.Sort(s.dirs)
	s.dirs = slices.Compact(s.dirs)
	killed, err := s.killAll()
	for _, dir := range s.dirs {
		s.removeDirs(dir)
	}
	return killed, err
}

// orphanScanner finds and kills the orphans of dead processes.
type orphanScanner struct {
	pidNS    uint64   // our pid namespace
	dirs     []string // where socket directories are created
	binaries []string
	failed   map[int]error // orphans that could not be killed, by pid
}

// killAll repeats killOnce until no orphan is left: a master may have forked new
// children before it was killed.
func (s *orphanScanner) killAll() ([]Orphan, error) {
	var all []Orphan
	deadline := time.Now().Add(killGrace)
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		killed, err := s.killOnce()
		for _, orphan := range killed {
			if !slices.Contains(all, orphan) {
				all = append(all, orphan)
			}
		}
		if err == nil && len(killed) > 0 && time.Now().After(deadline) {
			err = fmt.Errorf("orphaned php-cgi %d was killed but did not exit", killed[0].PID)
		}
		if err != nil || len(killed) == 0 {
			for _, failure := range s.failed {
				err = errors.Join(err, failure)
			}
			return all, err
		}
		time.Sleep(wait)
	}
}

// killOnce scans all processes and kills the orphans.
func (s *orphanScanner) killOnce() ([]Orphan, error) {
	sockets, err := s.orphanSockets()
	if err != nil || len(sockets) == 0 {
		return nil, err
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	var killed []Orphan
	for _, pid := range pids {
		if s.failed[pid] != nil {
			continue
		}
		if _, ok := s.checkOrphan(pid, sockets); !ok {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			s.failed[pid] = fmt.Errorf("orphaned php-cgi %d: pidfd_open: %w", pid, err)
			continue
		}
		// Checked only now, because the pid may have been reused before pidfd_open.
		orphan, ok := s.checkOrphan(pid, sockets)
		if ok {
			switch err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); {
			case err == nil:
				killed = append(killed, orphan)
			case !errors.Is(err, unix.ESRCH):
				s.failed[pid] = fmt.Errorf("killing php-cgi %d, an orphan of process %d: %w", pid, orphan.OwnerPID, err)
			}
		}
		_ = unix.Close(fd)
	}
	return killed, nil
}

// checkOrphan reports whether a process is an orphan.
func (s *orphanScanner) checkOrphan(pid int, sockets map[string]ownerTag) (Orphan, bool) {
	exe := strings.TrimSuffix(procfs.ReadLink(pid, "exe"), " (deleted)") // by an upgrade
	if !s.isPHP(exe) {
		return Orphan{}, false
	}
	for _, link := range procfs.ReadFDs(pid) {
		if owner, ok := sockets[link]; ok && !hasAncestor(pid, owner.pid) {
			return Orphan{PID: pid, OwnerPID: owner.pid, Binary: exe}, true
		}
	}
	return Orphan{}, false
}

// isPHP distinguishes php-cgi from a program that a script has started and that has
// inherited the socket. It checks the name, which packages and their upgrades vary
// a little (php8.2-cgi, .php-cgi-wrapped, php-cgi.dpkg-tmp).
func (s *orphanScanner) isPHP(exe string) bool {
	name := strings.ToLower(filepath.Base(exe))
	return strings.Contains(name, "php") && strings.Contains(name, "cgi") || slices.Contains(s.binaries, exe)
}

// hasAncestor reports whether ancestor is an ancestor of pid, and so is alive
// whatever its start time seems to be: that differs in another time namespace, and
// after a container was checkpointed and restored.
func hasAncestor(pid, ancestor int) bool {
	for pid > 1 {
		stat, err := procfs.ReadStat(pid)
		if err != nil {
			return false
		}
		if stat.PPID == ancestor {
			return true
		}
		pid = stat.PPID
	}
	return false
}

// orphanSockets returns the sockets that dead processes of our pid namespace have
// made, by the target of their links in /proc/PID/fd.
func (s *orphanScanner) orphanSockets() (map[string]ownerTag, error) {
	if names, err := socketNames(); err == nil {
		sockets := map[string]ownerTag{}
		for inode, name := range names {
			if owner, ok := s.deadOwner(name); ok {
				sockets[fmt.Sprintf("socket:[%d]", inode)] = owner
			}
		}
		return sockets, nil
	}
	data, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	return s.parseSockets(data), nil
}

// parseSockets parses /proc/net/unix, for systems without sock_diag(7).
func (s *orphanScanner) parseSockets(data []byte) map[string]ownerTag {
	sockets, seen := map[string]ownerTag{}, map[string]bool{}
	for line := range strings.Lines(string(data)) {
		// Address, count, protocol, flags, type, state, inode, and a path that may
		// contain anything.
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		link := "socket:[" + fields[6] + "]"
		if seen[link] {
			// With a line break in its name, the socket of any user can claim the inode
			// of another one; but it cannot hide the other's own line. An orphan can
			// so be spared here, and nothing else can be killed.
			delete(sockets, link)
			continue
		}
		seen[link] = true
		if len(fields) == 8 {
			if owner, ok := s.deadOwner(fields[7]); ok {
				sockets[link] = owner
			}
		}
	}
	return sockets
}

// deadOwner parses the path of a socket and returns the process that had it made, if
// that was one of our pid namespace, is dead, and had its directory in one of ours.
func (s *orphanScanner) deadOwner(path string) (ownerTag, bool) {
	at, name := filepath.Split(path)
	end := max(0, strings.LastIndexByte(name, '-'))
	owner, ok := parseOwnerTag(name[:end])
	ok = ok && at == bindDir+"/" && owner.pidNS == s.pidNS && slices.ContainsFunc(s.dirs, func(dir string) bool {
		return name == socketName(filepath.Join(dir, name[:end]))
	})
	return owner, ok && !owner.alive()
}

// removeDirs removes the socket directories in dir that dead owners have left. Any
// user can create one with such a name, so it must be ours, and is opened only
// once.
func (s *orphanScanner) removeDirs(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		owner, ok := parseOwnerTag(entry.Name())
		if !ok || owner.pidNS != s.pidNS || owner.alive() {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && int(st.Uid) == os.Geteuid() {
			if inner, err := unix.Openat(fd, innerDir, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				_ = unix.Unlinkat(inner, socketName(path), 0)
				_ = unix.Close(inner)
			}
			_ = unix.Unlinkat(fd, innerDir, unix.AT_REMOVEDIR) // fails unless it is empty
			for _, name := range fileNames(fd) {               // of a prelude, and of worker scripts
				_ = unix.Unlinkat(fd, name, 0) // fails for a directory
			}
			_ = unix.Rmdir(path)
		}
		_ = unix.Close(fd)
	}
}

// fileNames returns the names in the directory fd.
func fileNames(fd int) []string {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	dir := os.NewFile(uintptr(own), "directory")
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return names
}
