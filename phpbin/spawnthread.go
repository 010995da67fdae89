package phpbin

import (
	"fmt"
	"slices"
	"sync"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/confine"
	"github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"
)

// spawnThread is an operating-system thread that starts processes and lives as long
// as they do. Two things belong to a thread and not to the whole process: the
// parent death signal of what it starts is sent when the thread ends
// (go.dev/issue/27505), and it can have its own umask, niceness and privileges,
// which php-cgi inherits.
type spawnThread struct {
	jobs chan func()
	done chan struct{}

	// Of a thread that is shared: guarded by confined.mu.
	key    string
	denies Confinement
	users  int
}

// startSpawnThread returns a thread with the attributes that o specifies.
func startSpawnThread(o Options) (*spawnThread, error) {
	if o.Confine != nil {
		return confinedThread(o)
	}
	return newSpawnThread(o)
}

// confined are the threads that are confined. Launchers with the same attributes share
// one: that against [Confinement.Ports] takes 0.2 s of CPU and megabytes of the kernel's
// memory to make. So their processes get the parent death signal later, when this process
// ends; a launcher does not rely on it before.
var confined struct {
	mu      sync.Mutex
	threads map[string]*spawnThread
	last    *spawnThread // kept for the next launcher even if unused
}

// confinedThread returns a thread whose rules are those of now: new directories may
// have made the last ones too strict.
func confinedThread(o Options) (*spawnThread, error) {
	key := fmt.Sprint(o.Umask != nil, valueOrZero(o.Umask), o.Nice, o.NoNewPrivs, *o.Confine, confine.Names(o.Confine.config()))
	confined.mu.Lock()
	defer confined.mu.Unlock()
	t := confined.threads[key]
	if t == nil {
		var err error
		if t, err = newSpawnThread(o); err != nil {
			return nil, err
		}
		t.key, t.denies = key, *o.Confine
		if confined.threads == nil {
			confined.threads = map[string]*spawnThread{}
		}
		confined.threads[key] = t
	}
	t.users++
	if last := confined.last; last != t {
		confined.last = t
		if last != nil {
			last.endUnusedLocked()
		}
	}
	return t, nil
}

// prepareConfinement starts to make what takes long of a thread with this confinement,
// unless there is one for the same ports already, which probably serves.
func prepareConfinement(c *Confinement) {
	confined.mu.Lock()
	defer confined.mu.Unlock()
	for _, t := range confined.threads {
		if t.denies.OnlyPorts == c.OnlyPorts && slices.Equal(t.denies.Ports, c.Ports) {
			return
		}
	}
	DetectConfinement().Prepare(c.config())
}

func valueOrZero(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

// endUnusedLocked ends a shared thread that no launcher uses and none will.
func (t *spawnThread) endUnusedLocked() {
	if t.users == 0 && t != confined.last {
		delete(confined.threads, t.key)
		t.end()
	}
}

func newSpawnThread(o Options) (*spawnThread, error) {
	t := &spawnThread{jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	osthread.Go(func() {
		defer close(t.done)
		err := prepareThread(o)
		ready <- err
		if err != nil {
			return
		}
		for job := range t.jobs {
			job()
		}
	})
	if err := <-ready; err != nil {
		return nil, err
	}
	return t, nil
}

// do runs f on the thread.
func (t *spawnThread) do(f func() error) error {
	result := make(chan error, 1)
	t.jobs <- func() { result <- f() }
	return <-result
}

// stop gives the thread up. Unless others use it, it ends.
func (t *spawnThread) stop() {
	if t.key == "" {
		t.end()
		return
	}
	confined.mu.Lock()
	defer confined.mu.Unlock()
	t.users--
	t.endUnusedLocked()
}

// end makes the thread exit. Processes that it has started and that still run get their
// parent death signal.
func (t *spawnThread) end() {
	close(t.jobs)
	<-t.done
}
