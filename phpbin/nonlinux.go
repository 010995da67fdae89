//go:build !linux

package phpbin

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"syscall"
)

// watch watches a process that we started, and reaps it.
func watch(cmd *exec.Cmd, ended func()) *child { return watchCmd(cmd, ended) }

// peer would be the process that answered; only Linux tells.
type peer struct {
	pid int
}

func withPeerCredentials(conn net.Conn) (net.Conn, *peer, error) { return conn, &peer{}, nil }

func (p *peer) finish() error          { return nil }
func (p *peer) watch() (*child, error) { return nil, errors.ErrUnsupported }
func (p *peer) kill()                  {}
func (p *peer) close()                 {}

func prepareThread(Options) error { return nil }

func (o Options) validatePlatform() error {
	if o.Umask != nil || o.Nice != 0 || o.NoNewPrivs || len(o.Rlimits) > 0 || o.OOMScoreAdj != nil {
		return fmt.Errorf("umask, niceness, resource limits, oom_score_adj and no_new_privs: %w on this system", errors.ErrUnsupported)
	}
	return nil
}

func (o Options) setRlimits(int) error { return nil }

func (o Options) setOOMScore(int) error { return nil }

func (o Options) prlimitCommand() ([]string, error) { return nil, nil }

// count returns how many of what we started have not ended.
func (g *group) running() int {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	return len(g.pids)
}

// KillOrphans does nothing: only Linux shows who holds which socket. On
// Windows nothing is left, the job object sees to that.
func KillOrphans(...Options) ([]Orphan, error) { return nil, nil }

func reapOrphans() {}

// unusedChildren are none: there is no master.
func (s *Shared) unusedChildren() []*peer { return nil }

func withoutTerminal(*exec.Cmd) func() { return func() {} }

// killCopies does nothing: only Linux lists the children of a process.
func killCopies(int, func() bool) {}

// softTimeout is not to be had: Apple Silicon's PHP uses another signal, and
// Windows has none.
const softTimeout = syscall.Signal(0)
