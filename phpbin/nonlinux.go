//go:build !linux

package phpbin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// SupportsShared reports whether this system can have a shared master.
const SupportsShared = false

// softTimeout is not available: PHP uses another signal on Apple Silicon, and
// Windows has none.
const softTimeout = syscall.Signal(0)

// watch watches a process that was started here, and reaps it.
func watch(cmd *exec.Cmd, onExit func()) *child { return watchCmd(cmd, onExit) }

// running returns how many of the processes that were started here have not exited.
func (g *group) running() int {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	return len(g.pids)
}

// OpenInput would open a file of the process of the script.
func (x *Worker) OpenInput(int) (*os.File, error) { return nil, errors.ErrUnsupported }

// peer would be the process that responded: only Linux identifies it.
type peer struct {
	pid int
}

func withPeerCredentials(conn net.Conn) (net.Conn, *peer, error) { return conn, &peer{}, nil }

func (p *peer) finish() error          { return nil }
func (p *peer) watch() (*child, error) { return nil, errors.ErrUnsupported }
func (p *peer) kill()                  {}
func (p *peer) close()                 {}

// packetSize is unused: only Linux keeps the writes to a pipe apart.
const packetSize = 4096

func outputPipe() (r, w *os.File, packets bool, err error) {
	r, w, err = os.Pipe()
	return r, w, false, err
}

// killCopies does nothing: only Linux lists the children of a process.
func killCopies(int, func() bool) {}

// killOrphans does nothing: only Linux shows which process holds which socket. On
// Windows the job object leaves no orphans.
func killOrphans([]Options) ([]Orphan, error) { return nil, nil }

func reapOrphans() {}

// killDescendants does nothing: only Linux lists the children of a process.
func killDescendants(int, func() bool) {}

func (s *Shared) watchChildren() {}

func (o Options) validatePlatform() error {
	if o.Umask != nil || o.Nice != 0 || o.NoNewPrivs || len(o.Rlimits) > 0 || o.OOMScoreAdj != nil {
		return fmt.Errorf("umask, nice, rlimits, oom_score_adj and no_new_privs: %w on this system", errors.ErrUnsupported)
	}
	return nil
}

func prepareThread(Options) error { return nil }

func withoutTerminal(*exec.Cmd) func() { return func() {} }

func (o Options) setRlimits(int) error { return nil }

func (o Options) setOOMScore(int) error { return nil }

func (o Options) prlimitCommand() ([]string, error) { return nil, nil }

// peerPID would return the process that has opened a connection to us.
func peerPID(net.Conn) int { return 0 }
