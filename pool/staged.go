package pool

import (
	"context"
	"slices"
)

// Prepared is a generation that stands ready beside the current one. Exactly
// one of Commit and Discard has to follow.
type Prepared struct {
	pool     *Pool
	start    Starter
	settings Settings
	gen      *generation
	workers  []*worker

	// restart: only the generation changes. It gives way to one that has risen
	// meanwhile (risen counts them), which is at least as new.
	restart     bool
	activations int
}

// Prepare starts a generation with its first workers. The current one, and the
// settings in force, go on; on error nothing has changed. Committing the first
// one opens the pool.
func (p *Pool) Prepare(ctx context.Context, start Starter, s Settings) (*Prepared, error) {
	p.restarting.Lock()
	defer p.restarting.Unlock()
	return p.prepare(ctx, start, s)
}

// prepare is Prepare for those who hold p.restarting.
func (p *Pool) prepare(ctx context.Context, start Starter, s Settings) (*Prepared, error) {
	g, workers, err := p.startGeneration(ctx, start, &s)
	if err != nil {
		return nil, err
	}
	return &Prepared{pool: p, start: start, settings: s, gen: g, workers: workers}, nil
}

// PrepareIdle is Prepare for an ondemand pool whose starter is known to work:
// no generation stands ready, the first request begins one.
func (p *Pool) PrepareIdle(start Starter, s Settings) *Prepared {
	return &Prepared{pool: p, start: start, settings: s}
}

// Commit makes the generation the current one; its predecessor finishes its
// requests and ends. ErrClosed if the pool was closed meanwhile.
func (pr *Prepared) Commit() error {
	if pr.pool.activate(pr) {
		return nil
	}
	pr.Discard()
	if pr.pool.isClosed() {
		return ErrClosed
	}
	return nil
}

// Discard ends the generation.
func (pr *Prepared) Discard() {
	if pr.gen == nil {
		return
	}
	pr.pool.closeLauncher(pr.gen.launcher)
}

// Workers is how many workers stand ready.
func (pr *Prepared) Workers() int { return len(pr.workers) }

// Do sends a request to one of the workers, from 0, before the generation has
// taken any other: to warm it up, and to see whether it works. Nothing is
// counted. The requests to one worker must follow each other, each with its
// exchange closed before the next.
func (pr *Prepared) Do(ctx context.Context, worker int, r *Request) (*Response, error) {
	w := pr.workers[worker]
	if w.exited() {
		return nil, ErrWorkerDied
	}
	resp, err := w.conn.RoundTrip(ctx, r.FastCGI) //nolint:bodyclose // Exchange.Close does
	if err != nil {
		if exitsWithin(w.proc, drainGrace) {
			err = &diedError{cause: err}
		}
		return nil, err
	}
	return &Response{
		HTTP: resp, Worker: w.id, PID: w.proc.PID(), Generation: w.gen.number, body: resp.Body,
	}, nil
}

// DiscardFailed parts with workers that Do has left in no state to serve, and returns
// how many it was. They are launched anew when the generation has become the
// current one.
func (pr *Prepared) DiscardFailed(ctx context.Context) int {
	before := len(pr.workers)
	pr.workers = slices.DeleteFunc(pr.workers, func(w *worker) bool {
		if !w.exited() && w.conn.Reusable() && w.conn.Check() == nil {
			return false
		}
		w.conn.Close()   // nothing is expected from it any more
		w.proc.Kill()    //nolint:errcheck // it may have ended
		w.proc.Stop(ctx) //nolint:errcheck // frees its slot
		return true
	})
	return before - len(pr.workers)
}
