package phpbin

import "golang.org/x/sys/unix"

// unusedChildren are the children that have never had a connection: what the master
// has forked for later. They have nothing to bring to an end, so a Close need
// not ask them, and should not: a child that ends by itself clears away all that
// it has in common with the master, whose pages are copied for that. It takes
// 8 ms of processor time, so 200 pools with 9 such children each took 8 s to
// stop on two cores.
func (s *Shared) unusedChildren() []*peer {
	// Not one by one from /proc/PID/task/PID/children: that is not everywhere,
	// and those who end together share a look at all processes.
	list, err := groupMembers(s.watchdog.pgid)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*peer
	for _, seen := range list {
		if c := s.children[seen.pid]; seen.ppid != s.master.pid || seen.zombie || c != nil && c.alive() {
			continue
		}
		fd, err := unix.PidfdOpen(seen.pid, 0)
		if err != nil {
			continue // it has ended, or is asked like the others
		}
		p := &peer{pid: seen.pid, pidfd: fd}
		// The number may have gone to another process since we looked.
		if now, err := readStat(seen.pid); err != nil || now.start != seen.start || now.ppid != s.master.pid {
			p.close()
			continue
		}
		found = append(found, p)
	}
	return found
}
