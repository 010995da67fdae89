package fastcgi

import (
	"errors"
	"io"
)

// send sends the request. A body that is too large for one write is sent by a
// writer, which is still running when send returns. The beginning of the
// response may have been read when send returns.
func (b *Body) send(r *Request) error {
	first, unsealedLen, complete, err := r.seal()
	defer r.unseal(unsealedLen)
	if err != nil {
		b.detach(idle) // nothing was sent
		return err
	}
	if !complete {
		b.watched.start()
		if complete, err = b.c.worker.store(r); err != nil {
			b.detach(idle) // as above
			return err
		}
		first = r.buf
	}
	setRequestID(first, b.c.id)
	if complete && b.c.raw.available() {
		return b.sendAndWait(first, r)
	}
	b.watched.start()
	if err := b.c.write(first, r.WriteTimeout); err != nil {
		return b.sendFailed(err)
	}
	if !complete {
		b.writer = startWriter(b.c, b.useID, r)
	}
	return nil
}

// sendAndWait sends a complete request and waits for the beginning of the
// response.
func (b *Body) sendAndWait(first []byte, r *Request) error {
	c := b.c
	buf := b.stream.writable()
	if r.ReadTimeout > 0 {
		b.watched.start()
	}
	if b.watched.started() {
		c.canceler.setReadTimeout(r.ReadTimeout)
	} else {
		c.canceler.remind()
	}
	sent, got, err := c.raw.writeRead(first, buf)
	reminded := err != nil && !b.watched.started() && c.timedOut(err)
	if reminded {
		b.watched.start()
		c.canceler.setReadTimeout(0)
		if sent == 0 { // it was set for the requests before this one
			reminded = false
			sent, got, err = c.raw.writeRead(first, buf)
		}
	}
	c.sent.Add(int64(sent))
	if sent < len(first) {
		if err != nil {
			err = c.writeError(err)
		} else {
			err = c.write(first[sent:], r.WriteTimeout)
		}
		if err != nil {
			return b.sendFailed(err)
		}
		return nil
	}
	switch {
	case reminded:
		got, err = c.read(buf, 0, nil)
	case err != nil:
		got, err = c.readError(buf, err)
	}
	b.received(got, err)
	return nil // readHead checks b.err
}

// sendFailed gives up a request that could not be sent completely.
func (b *Body) sendFailed(err error) error {
	if closedByPeer(err) {
		err = connError(err)
	}
	if b.c.sent.Load() > 0 {
		// PHP is waiting for the rest and would take the end of the connection
		// for the end of the request.
		b.c.markAborted(err)
	}
	b.abandon(err)
	return b.err
}

// readHead reads the response until its header is complete, and parses it.
func (b *Body) readHead() error {
	var scan headScan
	for {
		if size, ok := scan.find(b.stream.content()); ok {
			if b.raw {
				return b.acceptRaw(size)
			}
			return b.acceptHead(scan.lineStart, size)
		}
		switch {
		case b.raw && (b.stream.buffered() > maxHead || errors.Is(b.err, io.EOF)):
			return b.acceptRaw(b.stream.buffered()) // not a CGI response, but PHP's
		case b.stream.buffered() > maxHead:
			return protocolErrorf("response header is larger than %d bytes", maxHead)
		case (errors.Is(b.err, io.EOF) || b.stream.awaitsReady) && b.stream.responseStarted:
			return protocolErrorf("response ended within its header")
		case b.stream.awaitsReady:
			return protocolErrorf("no response")
		case errors.Is(b.err, io.EOF):
			return protocolErrorf("no response")
		case b.err != nil:
			return b.err
		}
		if len(b.stream.writable()) == 0 {
			b.stream.grow()
		}
		b.advance()
	}
}

// acceptHead parses the header and fills in the response. The header is size
// bytes long: n bytes of header lines and the empty line.
func (b *Body) acceptHead(n, size int) error {
	h, err := parseHead(string(b.stream.content()[:n]))
	if err != nil {
		return err
	}
	b.stream.skip(size)
	b.stream.headParsed()
	b.invalidHeaders, b.interim = h.invalid, h.interim
	b.noBody = b.isHead || h.code == 204 || h.code == 304
	if h.isChunked() && b.decodeChunked() {
		h.removeLength() // RFC 9112, section 6.3
	}
	b.hasLength = h.length >= 0
	b.response.Status = h.status
	b.response.StatusCode = h.code
	b.response.Proto, b.response.ProtoMajor, b.response.ProtoMinor = "HTTP/1.1", 1, 1
	b.response.Header = h.fields
	b.response.Body = b
	b.response.ContentLength = h.length
	switch {
	case b.noBody:
		b.stream.setLimit(0)
		if !b.isHead {
			b.response.ContentLength = 0
		}
	case b.hasLength:
		b.stream.setLimit(h.length)
	}
	if b.stream.signals != nil {
		b.handleSignals()
	}
	if b.stream.finished {
		b.contentFinished() // by a signal before the header
	}
	b.checkLength()
	return nil
}

// decodeChunked waits for the beginning of the body, and reports whether it is
// chunked, as its header says. If so, the stream decodes it from now on; else it is
// left alone.
func (b *Body) decodeChunked() bool {
	for !b.noBody {
		chunked, decided := startsChunk(b.stream.content())
		switch {
		case chunked:
			b.stream.decodeChunked()
			return true
		case decided, b.err != nil, b.stream.finished:
			return false
		}
		b.advance()
	}
	return false
}

// fail closes the body of a request that returns err instead of a response.
func (b *Body) fail(err error) error {
	b.Close()
	return err
}
