package phpbin

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

const (
	// jobsPoll is how often a closed launcher looks whether the programs that its
	// scripts have left behind still run.
	jobsPoll = 5 * time.Second
	// jobsGrace is the time for such a program to exit after TERM.
	jobsGrace = time.Second
)

// withJobs are the closed launchers whose scripts have left programs behind.
var withJobs = struct {
	mu     sync.Mutex
	groups map[*group]struct{}
}{groups: map[*group]struct{}{}}

// KillJobs kills the background jobs of closed launchers: the programs that scripts
// have started and that have outlived php-cgi. They get TERM, and KILL a second later.
// It returns when they are gone. Call it when this process is about to exit.
//
// Otherwise they run until they end, as behind php-fpm, and at the latest until this
// process ends: their watchdog kills them then.
func KillJobs() error {
	withJobs.mu.Lock()
	groups := make([]*group, 0, len(withJobs.groups))
	for g := range withJobs.groups {
		groups = append(groups, g)
	}
	withJobs.mu.Unlock()
	errs := make(chan error)
	for _, g := range groups {
		go func() { errs <- g.killJobs() }()
	}
	var err error
	for range groups {
		if jobErr := <-errs; err == nil {
			err = jobErr
		}
	}
	return err
}

// leaveJobs releases what the group has, now or when its last program has ended. No
// php-cgi is left.
func (g *group) leaveJobs() {
	n, err := g.jobs()
	if err != nil { // unknown
		g.watchdog.killAll()
	}
	if n == 0 || err != nil {
		g.release()
		return
	}
	withJobs.mu.Lock()
	defer withJobs.mu.Unlock()
	withJobs.groups[g] = struct{}{}
	go g.awaitJobs()
}

// awaitJobs waits until the group is empty except for the watchdog, or released.
func (g *group) awaitJobs() {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, jobsPoll) {
		select {
		case <-g.released:
			return
		case <-time.After(wait):
		}
		if n, err := g.jobs(); err == nil && n == 0 {
			g.release()
			return
		}
	}
}

// killJobs stops the programs of the group.
func (g *group) killJobs() error {
	g.signalJobs(syscall.SIGTERM)
	end := time.Now().Add(jobsGrace)
	killed := false
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		n, err := g.jobs()
		if err != nil || n == 0 {
			g.release()
			return err
		}
		if time.Now().After(end) {
			if killed {
				g.release()
				return fmt.Errorf("%d programs that PHP scripts have started were killed but did not exit", n)
			}
			killed, end = true, time.Now().Add(killGrace)
			g.watchdog.killAll()
		}
		select {
		case <-g.released: // the last one has ended
			return nil
		case <-time.After(wait):
		}
	}
}

// release ends the watchdog, last: no program of the group outlives us even now, and
// the number of the group stays reserved while the group may be killed.
func (g *group) release() {
	g.releaseOnce.Do(func() {
		g.watchdog.stop()
		g.closeOutputs()
		withJobs.mu.Lock()
		delete(withJobs.groups, g)
		withJobs.mu.Unlock()
		close(g.released)
	})
	<-g.released
}
