package phpbin

import "github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"

// spawnThread is an operating-system thread that starts processes, for as long as
// they live. Two things hang on the thread and not on the process: the death
// signal of what it starts comes when the thread ends (go.dev/issue/27505), and
// umask, niceness and privileges can be its own, so that php-cgi inherits them
// and this process keeps what it had.
type spawnThread struct {
	jobs chan func()
	done chan struct{}
}

// startSpawnThread starts a thread and prepares it as o asks.
func startSpawnThread(o Options) (*spawnThread, error) {
	l := &spawnThread{jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	osthread.Go(func() {
		defer close(l.done)
		err := prepareThread(o)
		ready <- err
		if err != nil {
			return
		}
		for job := range l.jobs {
			job()
		}
	})
	if err := <-ready; err != nil {
		return nil, err
	}
	return l, nil
}

// do runs f on the thread.
func (l *spawnThread) do(f func() error) error {
	result := make(chan error, 1)
	l.jobs <- func() { result <- f() }
	return <-result
}

// stop ends the thread. Whatever it started and still lives gets its death
// signal now.
func (l *spawnThread) stop() {
	close(l.jobs)
	<-l.done
}
