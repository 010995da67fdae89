package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// defaultBodyTimeout is that of nginx's client_body_timeout.
const defaultBodyTimeout = time.Minute

// clientBody is a request body that PHP gets while it arrives from the client
// (request_buffering off).
type clientBody struct {
	reader    io.Reader
	remaining atomic.Int64
	timedOut  atomic.Bool // by the read_body timeout of Caddy's server
}

func (c *clientBody) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.remaining.Add(-int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.timedOut.Store(true)
	}
	return n, err
}

func (c *clientBody) complete() bool { return c.remaining.Load() <= 0 }

// streams reports whether PHP gets the body of r while it arrives. PHP needs its
// length. A form is parsed before the script starts, so nothing is gained, and half
// of one could pass for a whole one.
func (b *Backend) streams(r *http.Request) bool {
	if b.RequestBuffering == nil || *b.RequestBuffering || r.ContentLength <= 0 || r.Body == nil || r.Body == http.NoBody {
		return false
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.Method != http.MethodPost || !strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded")
}

// readBody reads the body of the request, or returns a stream of it. The body is
// empty if an earlier handler has passed it on, and may still be waiting for it. In an
// error route the page that PHP renders matters more than the body, so the body is
// empty if an earlier handler has read some of it or has rejected it, and if it cannot
// be read.
func (b *Backend) readBody(r *http.Request, state *requestState) (spool.Body, *clientBody, error) {
	errorRoute := cgi.RouteError(r) != nil
	if state.stream != nil || state.bodyRead && errorRoute {
		return spool.Body{}, nil, nil
	}
	state.bodyRead = true
	if b.streams(r) && !errorRoute {
		if b.MaxBody > 0 && r.ContentLength > b.MaxBody {
			return spool.Body{}, nil, bodyError(&spool.TooLargeError{Option: "max_body", Limit: b.MaxBody})
		}
		state.stream = &clientBody{reader: r.Body}
		state.stream.remaining.Store(r.ContentLength)
		return spool.Body{Length: r.ContentLength}, state.stream, nil
	}
	body, err := b.pool.Spool.Read(r, b.RequestBuffers, b.MaxBody)
	switch {
	case err == nil:
		return body, nil, nil
	case !errorRoute, r.Context().Err() != nil:
		return body, nil, bodyError(err)
	}
	return spool.Body{}, nil, nil
}

// allowStreaming lets a response begin before the request's body has ended. The
// caller must call done when it has responded.
func (s *requestState) allowStreaming(w http.ResponseWriter, r *http.Request) (done func()) {
	s.writer = w
	return func() {
		if s.stream == nil || s.stream.complete() || r.ProtoMajor != 1 {
			return
		}
		s.closeAfterResponse()
		// net/http would wait for a Read in progress, and so for the client.
		conn := innermost(w)
		context.AfterFunc(r.Context(), func() {
			http.NewResponseController(conn).SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // then net/http waits
		})
	}
}

// closeAfterResponse makes net/http close the connection of a client that has not
// sent its whole body. Otherwise net/http would discard the rest when the response
// begins, while PHP gets it; and the rest is not the next request.
func (s *requestState) closeAfterResponse() {
	if s.writer != nil {
		s.writer.Header().Set("Connection", "close")
	}
}

// innermost returns the ResponseWriter of net/http, which others may have wrapped.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// beforeResponse runs when PHP has begun to respond to a request with a streamed
// body. Over HTTP/1.1 the connection is closed after a response that begins before
// the body has ended; a transport of reverse_proxy cannot say so, and waits.
func (resp *response) beforeResponse(state *requestState, stream *clientBody) {
	r := resp.httpRequest
	if r.ProtoMajor != 1 || stream.complete() {
		return
	}
	if state.writer != nil {
		state.closeAfterResponse()
		return
	}
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || !server.EnableFullDuplex {
		resp.body.AwaitRequestBody(r.Context())
	}
}

// streamError returns the error for a client whose body did not arrive, or nil if
// err has another cause.
func streamError(err error, r *http.Request, stream *clientBody) error {
	body, ok := errors.AsType[*fastcgi.BodyError](err)
	switch {
	case stream.timedOut.Load():
		// net/http has canceled the context, but the client is still there.
		return bodyError(os.ErrDeadlineExceeded)
	case !ok || r.Context().Err() != nil:
		return nil
	}
	return bodyError(body)
}
