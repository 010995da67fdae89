package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// response is PHP's answer to one request, on its way to the client, with all that
// the request holds until then.
type response struct {
	*pool.Response // nil as long as PHP has not answered
	backend        *Backend
	httpRequest    *http.Request
	request        pool.Request
	requestBody    spool.Body
	stderr         stderrLog
	span           trace.Span // nil where nobody traces
	body           *fastcgi.Body
	prefix         []byte           // of the body, read already
	readAhead      *readAheadBuffer // nil where nothing is read ahead
	cancel         context.CancelFunc
	err            error // why the answer is not whole
}

// errClientGone: the client takes no more.
var errClientGone = errors.New("the client has gone")

// fail notes why the answer is not whole. When the client has left, that
// comes first, whatever it led to.
func (a *response) fail(err error) {
	if errors.Is(err, errClientGone) || a.httpRequest.Context().Err() != nil {
		err = errClientGone
		a.backend.pool.ClientsClosed.Add(1)
	}
	a.err = err
}

// Close gives the worker back, and what the request held.
func (a *response) close() {
	a.finish()
	a.backend.pool.Release()
}

// finish is close for who has not left the pool yet.
func (a *response) finish() {
	status := http.StatusBadGateway
	if a.readAhead != nil {
		a.readAhead.stop()
	}
	if a.Response != nil {
		a.Close()
		status = a.HTTP.StatusCode
	}
	a.cancel()
	a.request.FastCGI.Free()
	a.requestBody.Free()
	a.stderr.flush(status)
	a.endSpan()
}

// endSpan may be called twice.
func (a *response) endSpan() {
	if a.span != nil {
		endSpan(a.span, a.Response, a.err)
		a.span = nil
	}
}
