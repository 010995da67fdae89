package caddymodule

import (
	"errors"
	"io"
	"sync"
)

// startReadAhead reads an answer ahead of a client that is slow to take it, so that the
// worker is free when PHP has ended and not when the client has read the last
// byte. It delays nothing: what is there can be taken at once, so streams pass
// through it as they are. response_buffers bounds what it keeps.
//
// One goroutine fills it, another one takes from it.
type readAheadBuffer struct {
	reply *response
	limit int
	ended chan struct{} // closed when the goroutine that fills has ended

	mu      sync.Mutex
	changed sync.Cond
	filled  []byte // arrived, and not taken yet
	taken   []byte // being written to the client
	stopped bool   // nobody takes any more
	err     error  // what comes after filled
}

// startReadAhead begins to read the answer's body, which from then on is taken from
// a.ahead.
func (a *response) startReadAhead(limit int) {
	h := &readAheadBuffer{reply: a, limit: limit, ended: make(chan struct{})}
	h.changed.L = &h.mu
	a.readAhead = h
	go h.fill()
}

func (h *readAheadBuffer) fill() {
	defer close(h.ended)
	for {
		p, err := h.reply.body.Next()
		if errors.Is(err, io.EOF) {
			h.reply.Release()
			h.reply.requestBody.Free()
		}
		h.mu.Lock()
		for err == nil && !h.stopped && len(h.filled) > 0 && len(h.filled)+len(h.taken)+len(p) > h.limit {
			h.changed.Wait()
		}
		h.filled, h.err = append(h.filled, p...), err
		stopped := h.stopped
		h.mu.Unlock()
		h.changed.Signal()
		if err != nil || stopped {
			return
		}
	}
}

// Next returns all that has arrived; it waits if nothing has. The bytes are
// valid until the next call.
func (h *readAheadBuffer) Next() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = h.taken[:0]
	h.changed.Signal()
	for len(h.filled) == 0 && h.err == nil {
		h.changed.Wait()
	}
	if len(h.filled) == 0 {
		return nil, h.err
	}
	h.taken, h.filled = h.filled, h.taken
	h.changed.Signal()
	return h.taken, nil
}

// Ready reports whether Next would return at once.
func (h *readAheadBuffer) Ready() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.filled) > 0 || h.err != nil
}

// closeNow ends the reading: when it returns, the exchange is the caller's alone.
// An answer that has not ended is given up.
func (h *readAheadBuffer) stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.changed.Signal()
	h.reply.cancel()
	<-h.ended
}

// source is where an answer's body is taken from: PHP itself, or what was read
// ahead.
type source interface {
	Next() ([]byte, error)
	Ready() bool
}

func (a *response) source() source {
	if a.readAhead != nil {
		return a.readAhead
	}
	return a.body
}
