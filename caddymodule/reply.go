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

// reply is PHP's answer to one request, on its way to the client, with all that
// the request holds until then.
type reply struct {
	*pool.Response // nil as long as PHP has not answered
	backend        *Backend
	request        *http.Request
	sent           pool.Request
	in             spool.Body
	stderr         stderrLog
	span           trace.Span // nil where nobody traces
	body           *fastcgi.Body
	prefix         []byte // of the body, read already
	ahead          *ahead // nil where nothing is read ahead
	giveUp         context.CancelFunc
	broken         error // why the answer is not whole
}

// errClientGone: the client takes no more.
var errClientGone = errors.New("the client has gone")

// breaks notes why the answer is not whole. When the client has left, that
// comes first, whatever it led to.
func (a *reply) breaks(err error) {
	if errors.Is(err, errClientGone) || a.request.Context().Err() != nil {
		err = errClientGone
		a.backend.live.clientsGone.Add(1)
	}
	a.broken = err
}

// close gives the worker back, and what the request held.
func (a *reply) close() {
	a.end()
	a.backend.live.leave()
}

// end is close for who has not left the pool yet.
func (a *reply) end() {
	status := http.StatusBadGateway
	if a.ahead != nil {
		a.ahead.stop()
	}
	if a.Response != nil {
		a.Close()
		status = a.HTTP.StatusCode
	}
	a.giveUp()
	a.sent.FastCGI.Free()
	a.in.Free()
	a.stderr.flush(status)
	a.endSpan()
}

// endSpan may be called twice.
func (a *reply) endSpan() {
	if a.span != nil {
		endSpan(a.span, a.Response, a.broken)
		a.span = nil
	}
}
