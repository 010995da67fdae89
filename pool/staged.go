package pool

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Prepared is a generation that has been started but is not used yet. Call either
// Commit or Discard, once.
type Prepared struct {
	pool     *Pool
	start    Starter
	settings Settings
	gen      *generation
	workers  []*worker

	// restart means that only the generation changes, not the settings. Commit then
	// discards it if another generation has become current meanwhile, which is at
	// least as new: activations counts those.
	restart     bool
	background  bool // the pool itself replaces a generation that has failed
	activations int
}

// Prepare starts a generation with its initial workers. The current generation and
// settings stay active until Commit; an error changes nothing. Committing the
// first generation opens the pool.
func (p *Pool) Prepare(ctx context.Context, start Starter, s Settings) (*Prepared, error) {
	p.restarting.Lock()
	defer p.restarting.Unlock()
	return p.prepare(ctx, start, s)
}

// prepare is Prepare for callers that hold p.restarting.
func (p *Pool) prepare(ctx context.Context, start Starter, s Settings) (*Prepared, error) {
	g, workers, err := p.startGeneration(ctx, start, &s)
	if err != nil {
		return nil, err
	}
	return &Prepared{pool: p, start: start, settings: s, gen: g, workers: workers}, nil
}

// PrepareIdle is Prepare for an ondemand pool whose starter is known to work. It
// starts nothing: the first request after Commit does.
func (p *Pool) PrepareIdle(start Starter, s Settings) *Prepared {
	return &Prepared{pool: p, start: start, settings: s}
}

// Commit makes the generation and its settings active. The previous generation is
// closed when its requests have ended. It returns [ErrClosed] if the pool was
// closed meanwhile.
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

// Discard stops the processes of the generation.
func (pr *Prepared) Discard() {
	if pr.gen == nil {
		return
	}
	pr.pool.closeLauncher(pr.gen.launcher)
	pr.pool.total.release(len(pr.workers))
}

// Workers returns the number of workers that are ready.
func (pr *Prepared) Workers() int { return len(pr.workers) }

// Do sends a request to a worker of a generation that is not active yet, for
// warmup. worker is an index below Workers. The request is not counted or logged.
// Requests to the same worker must not overlap: close each Response before the
// next call.
func (pr *Prepared) Do(ctx context.Context, worker int, r *Request) (*Response, error) {
	w := pr.workers[worker]
	if w.exited() {
		return nil, &diedError{status: w.proc.ExitStatus()}
	}
	resp, err := w.conn.RoundTrip(ctx, r.FastCGI) //nolint:bodyclose // Response.Close does
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && exitsWithin(w.proc, deathGrace) || w.exited() {
			err = &diedError{err, w.proc.ExitStatus()}
		}
		return nil, err
	}
	return &Response{
		HTTP: resp, Worker: w.id, PID: w.proc.PID(), Generation: w.gen.number, body: resp.Body,
	}, nil
}

// ExitStatus describes how a worker exited during Do, or until its response was
// read. exited is false if it still runs after a moment.
func (pr *Prepared) ExitStatus(worker int) (status string, exited bool) {
	proc := pr.workers[worker].proc
	if !exitsWithin(proc, deathGrace) {
		return "", false
	}
	return proc.ExitStatus(), true
}

// DiscardFailed stops the workers that cannot be used after Do, and returns their
// number. They are replaced when the generation becomes current.
func (pr *Prepared) DiscardFailed(ctx context.Context) int {
	before := len(pr.workers)
	pr.workers = slices.DeleteFunc(pr.workers, func(w *worker) bool {
		if !w.exited() && w.conn.Reusable() && w.conn.Check() == nil {
			return false
		}
		w.conn.Close()   // nothing more is read from it
		w.proc.Kill()    //nolint:errcheck // it may have exited already
		w.proc.Stop(ctx) //nolint:errcheck // frees its slot
		return true
	})
	failed := before - len(pr.workers)
	pr.pool.total.release(failed)
	return failed
}
