package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
)

// missingScript is the path of a script that does not exist.
const missingScript = "/php_pool.probe/no.such.script"

// Ping sends GET_VALUES and waits for the result, to check that the application
// is alive. It runs no script and takes about 15 µs. The connection must be idle.
// The error is a [*TransportError], or a [*ProtocolError], which makes the
// connection [Conn.Broken]; after both the connection cannot be reused.
func (c *Conn) Ping(ctx context.Context) error { return c.getValues(ctx, 1) }

// Handshake must be the first use of a connection to php-cgi, which closes a
// connection if nothing is received in the first five seconds; after a GET_VALUES
// it does not. Handshake pings twice, because PHP before 8.2.13 closes the
// connection after it has responded, which is [ErrClosedAfterGetValues]. The other
// errors are those of [Conn.Ping].
func (c *Conn) Handshake(ctx context.Context) error { return c.getValues(ctx, 2) }

// HandshakeFunc returns a function that runs a handshake on a new connection to
// php-cgi: [Conn.Handshake], or [Conn.PingRequest] if php-cgi does not keep a
// connection after GET_VALUES (PHP before 8.2.13).
func HandshakeFunc(keepsConn bool) func(ctx context.Context, conn net.Conn) error {
	return func(ctx context.Context, conn net.Conn) error {
		c := NewConn(conn)
		if keepsConn {
			return c.Handshake(ctx)
		}
		return c.PingRequest(ctx)
	}
}

// getValues sends GET_VALUES and reads the result, the given number of times. It
// waits for each result before it sends again, because a reset of a TCP
// connection could discard a result that was not yet read.
func (c *Conn) getValues(ctx context.Context, times int) error {
	_, watched, err := c.acquire(ctx, false)
	if err != nil {
		return &TransportError{Err: err}
	}
	watched.start()
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
	c.canceler.end() //nolint:errcheck // the next use fails
	watched.end()
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

// getValuesOnce sends GET_VALUES and reads the result.
func (c *Conn) getValuesOnce() error {
	var array [1 << 10]byte // php-cgi's result has about 70 bytes
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
			return protocolErrorf("unexpected data after GET_VALUES_RESULT")
		case have == len(buf):
			return protocolErrorf("GET_VALUES_RESULT is larger than %d bytes", len(buf))
		}
	}
}

// PingRequest requests a script that does not exist, and returns nil after any
// complete response: PHP responds with 404. It replaces [Conn.Handshake] and
// [Conn.Ping] for a PHP that closes the connection after GET_VALUES. The errors
// are those of [Conn.RoundTrip] and [Body.Read].
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
