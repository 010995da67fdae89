package fastcgi

import (
	"context"
	"errors"
	"time"
)

// bodyStream sends a body while it arrives from a client (see Request.StreamBody).
//
// Its goroutine may block in body.Read for as long as the client likes, so it is not
// waited for there. A caller that cancels the request takes the connection over from
// it, which is possible only during a Read: the goroutine sets writer.readingBody
// before a Read, and the goroutine that clears it may write to the connection and
// closes done.
type bodyStream struct {
	*writer
	limit time.Duration // of a Read; 0 is no limit
	timer *time.Timer   // calls stalled when a Read takes longer; nil without a limit
}

func newBodyStream(w *writer, limit time.Duration) *bodyStream {
	return &bodyStream{writer: w, limit: limit}
}

func (s *bodyStream) run() {
	buf := chunks.Get().(*chunk) //nolint:forcetypeassert // the pool has nothing else
	defer chunks.Put(buf)
	for s.remaining > 0 {
		n, ok, err := s.read(buf[headerLen : headerLen+min(s.remaining, maxStdinContent)])
		if !ok {
			return
		}
		if n > 0 {
			if err := s.writeRecord(buf, n); err != nil {
				s.c.canceler.stop(s.useID, err, true) // as in writer.run
				close(s.done)
				return
			}
		}
		if err != nil && s.remaining > 0 {
			s.endEarly(&BodyError{unexpectedEOF(err)})
			return
		}
	}
	s.complete = true
	close(s.done)
}

// read waits for a part of the body, and returns the error of its Read. ok is false if
// the connection was taken over.
func (s *bodyStream) read(p []byte) (n int, ok bool, err error) {
	s.readingBody.Store(true)
	// After readingBody was set: either this sees stop, or takeOver sees readingBody.
	if s.stop.Load() {
		s.takeOver()
		return 0, false, nil
	}
	s.startTimer()
	n, err = s.body.Read(p)
	if !s.readingBody.CompareAndSwap(true, false) {
		return 0, false, nil
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	return n, true, err
}

func (s *bodyStream) startTimer() {
	switch {
	case s.limit <= 0:
	case s.timer == nil:
		s.timer = time.AfterFunc(s.limit, s.stalled)
	default:
		s.timer.Reset(s.limit)
	}
}

// takeOver ends the stream if its goroutine waits for the body.
func (s *bodyStream) takeOver() {
	if s.readingBody.CompareAndSwap(true, false) {
		close(s.done)
	}
}

// stalled ends the stream if nothing has arrived for too long.
func (s *bodyStream) stalled() {
	if s.readingBody.CompareAndSwap(true, false) {
		s.endEarly(&BodyError{ErrBodyTimeout})
	}
}

// cut ends the stream of a client that disconnected after what has arrived.
func (s *bodyStream) cut(cause error) {
	// The goroutine can do that itself if its Read fails.
	grace := time.NewTimer(writerGrace)
	defer grace.Stop()
	select {
	case <-s.done:
		return
	case <-grace.C:
	}
	s.stop.Store(true)
	if s.readingBody.CompareAndSwap(true, false) {
		s.endEarly(cause)
	}
	<-s.done
}

// endEarly ends STDIN before its announced length, if PHP reads what was sent
// before. It sends two empty records: php-cgi takes the first for the end of a
// partial read only, and then reads on (fcgi_read in main/fastcgi.c). A response to
// such a body is not delivered, so reading is stopped first.
func (s *bodyStream) endEarly(cause error) {
	s.c.canceler.stop(s.useID, cause, false)
	s.c.canceler.extendWrites()
	end := appendHeader(make([]byte, 0, 2*headerLen), typeStdin, s.c.id, 0)
	end = appendHeader(end, typeStdin, s.c.id, 0)
	s.c.write(end, 0) //nolint:errcheck // PHP then sees the end of the connection instead
	close(s.done)
}

// cutError returns why a streamed body was cut, or nil. The response to it may have
// arrived before the read that the stop was to end.
func (w *writer) cutError() error {
	if w == nil || w.stream == nil {
		return nil
	}
	if allowReads, cause := w.c.canceler.stopped(); !allowReads {
		return cause
	}
	return nil
}

// clientGone reports whether a request was canceled because of its client.
func clientGone(cause error) bool {
	_, body := errors.AsType[*BodyError](cause)
	return body || errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded)
}
