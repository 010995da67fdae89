package phpbin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// sharedSupported reports whether what Shared is built on is there.
func sharedSupported() error {
	if err := checkPidfds(); err != nil {
		return fmt.Errorf("a shared php-cgi master needs Linux 5.3: %w: %w", err, errors.ErrUnsupported)
	}
	if _, err := procfs.ReadStat(os.Getpid()); err != nil {
		return fmt.Errorf("a shared php-cgi master needs /proc: %w: %w", err, errors.ErrUnsupported)
	}
	return nil
}

// unusedChildren are the children that have never had a connection: what the master
// has forked for later. They have nothing to bring to an end, so a Close need
// not ask them, and should not: a child that ends by itself clears away all that
// it has in common with the master, whose pages are copied for that. It takes
// 8 ms of processor time, so 200 pools with 9 such children each took 8 s to
// stop on two cores.
func (s *Shared) unusedChildren() []*peer {
	// Not one by one from /proc/PID/task/PID/children: that is not everywhere,
	// and those who end together share a look at all processes.
	list, err := procfs.Group(s.watchdog.pgid)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*peer
	for _, seen := range list {
		if c := s.children[seen.PID]; seen.PPID != s.master.pid || seen.Zombie() || c != nil && c.alive() {
			continue
		}
		fd, err := unix.PidfdOpen(seen.PID, 0)
		if err != nil {
			continue // it has ended, or is asked like the others
		}
		p := &peer{pid: seen.PID, pidfd: fd}
		// The number may have gone to another process since we looked.
		if now, err := procfs.ReadStat(seen.PID); err != nil || now.StartTime != seen.StartTime || now.PPID != s.master.pid {
			p.close()
			continue
		}
		found = append(found, p)
	}
	return found
}
