package phpbin

import "github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"

// spawnThread is an operating-system thread that starts processes and lives as long
// as they do. Two things belong to a thread and not to the whole process: the
// parent death signal of what it starts is sent when the thread ends
// (go.dev/issue/27505), and it can have its own umask, niceness and privileges,
// which php-cgi inherits.
type spawnThread struct {
	jobs chan func()
	done chan struct{}
}

// startSpawnThread starts a thread with the attributes that o specifies.
func startSpawnThread(o Options) (*spawnThread, error) {
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

// stop makes the thread exit. Processes that it has started and that still run get their
// parent death signal.
func (t *spawnThread) stop() {
	close(t.jobs)
	<-t.done
}
