package caddymodule

import (
	"errors"
	"io"
	"sync"
)

// readAheadBuffer holds the part of a response's body that PHP has sent and the
// client has not received yet, so that a slow client does not keep the worker
// busy: the worker is free when PHP has finished. It delays nothing: Next returns
// what is there, so streams pass through unchanged. response_buffers limits its
// size.
//
// One goroutine fills it, another one calls Next.
type readAheadBuffer struct {
	response *response
	limit    int           // in bytes, of pending and inFlight together
	done     chan struct{} // closed when fill has returned

	mu       sync.Mutex
	changed  sync.Cond
	pending  []byte // received from PHP and not returned by Next yet
	inFlight []byte // returned by the last Next, and being written to the client
	stopped  bool   // Next is not called again
	err      error  // what Next returns after pending, io.EOF at the end
}

// startReadAhead starts reading the response's body into a buffer of about limit
// bytes: one read of any size fits when it is empty. From then on source returns
// the buffer.
func (resp *response) startReadAhead(limit int) {
	b := &readAheadBuffer{response: resp, limit: limit, done: make(chan struct{})}
	b.changed.L = &b.mu
	resp.buffer = b
	go b.fill()
}

func (b *readAheadBuffer) fill() {
	defer close(b.done)
	for {
		p, err := b.response.body.Next()
		if errors.Is(err, io.EOF) || err != nil && b.response.body.Truncated() {
			b.response.completed()
		}
		b.mu.Lock()
		for err == nil && !b.stopped && len(b.pending) > 0 && len(b.pending)+len(b.inFlight)+len(p) > b.limit {
			b.changed.Wait()
		}
		b.pending, b.err = append(b.pending, p...), err
		stopped := b.stopped
		b.mu.Unlock()
		b.changed.Signal()
		if err != nil || stopped {
			return
		}
	}
}

// Next returns all bytes that have arrived, and blocks until there are some.
// They are valid until the next call. It returns io.EOF at the end of the body.
func (b *readAheadBuffer) Next() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight = b.inFlight[:0]
	b.changed.Signal()
	for len(b.pending) == 0 && b.err == nil {
		b.changed.Wait()
	}
	if len(b.pending) == 0 {
		return nil, b.err
	}
	b.inFlight, b.pending = b.pending, b.inFlight
	b.changed.Signal()
	return b.inFlight, nil
}

// Ready reports whether Next would return without blocking.
func (b *readAheadBuffer) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending) > 0 || b.err != nil
}

// stop cancels the request, unless PHP has finished, and waits until fill has
// returned: after that no other goroutine uses the response.
func (b *readAheadBuffer) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.changed.Signal()
	b.response.cancel()
	<-b.done
}

// source is where the bytes of a response's body come from: PHP's connection or
// the read-ahead buffer.
type source interface {
	Next() ([]byte, error)
	Ready() bool
}

func (resp *response) source() source {
	if resp.buffer != nil {
		return resp.buffer
	}
	return resp.body
}
