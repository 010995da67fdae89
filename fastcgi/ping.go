package fastcgi

import (
	"context"
	"errors"
	"io"
)

// missingScript is a script that cannot exist.
const missingScript = "/php_pool.probe/no.such.script"

// Ping asks with GET_VALUES whether the application is alive and listens: it
// runs no script and costs some 15 µs. A busy application cannot answer.
func (c *Conn) Ping(ctx context.Context) error { return c.getValues(ctx, 1) }

// Handshake is the first use of a connection: php-cgi closes one that is
// silent for five seconds after it was accepted, but not after a GET_VALUES.
// It asks twice, because PHP before 8.2.13 closes the connection after its
// answer; that is [ErrClosedAfterGetValues]. The second question follows the
// first answer, which a reset could otherwise take away on TCP.
func (c *Conn) Handshake(ctx context.Context) error { return c.getValues(ctx, 2) }

// getValues sends GET_VALUES and reads the answer, several times.
func (c *Conn) getValues(ctx context.Context, times int) error {
	_, unwatch, err := c.acquire(ctx)
	if err != nil {
		return &TransportError{Err: err}
	}
	for i := range times {
		if err = c.getValuesOnce(); err == nil {
			continue
		}
		if i > 0 && (errors.Is(err, io.ErrUnexpectedEOF) || closedByPeer(err) || errors.Is(err, io.ErrClosedPipe)) {
			err = ErrClosedAfterGetValues
		}
		break
	}
	next := idle
	if err != nil {
		next = unusable
	}
	c.canceler.end() //nolint:errcheck // the next use tells
	if unwatch != nil {
		unwatch()
	}
	c.state.Store(uint32(next))
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		c.markBroken()
		return err
	}
	if err != nil {
		return &TransportError{Sent: c.sent.Load(), Err: err}
	}
	return nil
}

func (c *Conn) getValuesOnce() error {
	var array [1 << 10]byte // an answer has some 70 bytes
	buf := array[:]
	if err := c.write(appendGetValues(buf[:0]), 0); err != nil {
		return err
	}
	have := 0
	for {
		n, err := c.read(buf[have:], 0, nil)
		if err != nil {
			return err
		}
		have += n
		size, err := decodeValues(buf[:have])
		switch {
		case err != nil:
			return err
		case size > 0 && size == have:
			return nil
		case size > 0:
			return protocolErrorf("bytes follow GET_VALUES_RESULT")
		case have == len(buf):
			return protocolErrorf("GET_VALUES_RESULT is larger than %d bytes", len(buf))
		}
	}
}

// PingRequest asks for a script that does not exist, which every PHP answers
// with 404. Any complete answer is nil: the application is alive. It is the
// handshake for a PHP that closes the connection after GET_VALUES.
func (c *Conn) PingRequest(ctx context.Context) error {
	r := NewRequest()
	defer r.Free()
	for _, p := range [...][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_METHOD", "GET"},
		{"REQUEST_URI", missingScript},
		{"SCRIPT_NAME", missingScript},
		{"SCRIPT_FILENAME", missingScript},
		{"QUERY_STRING", ""},
		{"REDIRECT_STATUS", "200"},
	} {
		r.AddParam(p[0], p[1])
	}
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
