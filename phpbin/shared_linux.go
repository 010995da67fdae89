package phpbin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// SupportsShared reports whether this system can have a shared master. [StartShared]
// may still return errors.ErrUnsupported, for example on an old kernel.
const SupportsShared = true

// sharedSupported returns an error if the system lacks what Shared needs.
func sharedSupported() error {
	if err := checkPidfds(); err != nil {
		return fmt.Errorf("a shared php-cgi master needs Linux 5.3: %w: %w", err, errors.ErrUnsupported)
	}
	if _, err := procfs.ReadStat(os.Getpid()); err != nil {
		return fmt.Errorf("a shared php-cgi master needs /proc: %w: %w", err, errors.ErrUnsupported)
	}
	return nil
}

// unusedChildren lists the children that have never had a connection, which the
// master has forked in advance. They have nothing to finish, so Close kills them.
// A child that exits by itself frees all memory that it shares with the master,
// whose pages are copied for that. It takes 8 ms of processor time, so 200 pools
// with 9 such children each took 8 s to stop on two cores.
func (s *Shared) unusedChildren() []*peer {
	// Not from /proc/PID/task/PID/children: that is not available everywhere, and
	// launchers that close at the same time share one scan of all processes.
	list, err := procfs.Group(s.watchdog.pgid)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var unused []*peer
	for _, stat := range list {
		if c := s.children[stat.PID]; stat.PPID != s.master.pid || stat.Zombie() || c != nil && c.alive() {
			continue
		}
		fd, err := unix.PidfdOpen(stat.PID, 0)
		if err != nil {
			continue // it has exited, or the master's TERM stops it
		}
		p := &peer{pid: stat.PID, pidfd: fd}
		// The pid may have been reused since the scan.
		if now, err := procfs.ReadStat(stat.PID); err != nil || now.StartTime != stat.StartTime || now.PPID != s.master.pid {
			p.close()
			continue
		}
		unused = append(unused, p)
	}
	return unused
}
