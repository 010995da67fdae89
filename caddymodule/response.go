package caddymodule

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// response is PHP's response to one request while it is sent to the client, with
// all that the request holds until the response is closed.
type response struct {
	*pool.Response // nil until PHP has responded
	backend        *Backend
	httpRequest    *http.Request
	request        pool.Request
	requestBody    spool.Body
	interimWriter  http.ResponseWriter // nil if the request comes from reverse_proxy
	stderr         stderrLog
	span           trace.Span // nil if the request is not traced
	body           *fastcgi.Body
	ended          bool             // PHP has ended the request, so the body's length is known
	length         [1]string        // the Content-Length of announceLength
	prefix         []byte           // start of the body, already read
	buffer         *readAheadBuffer // nil if the body is not read ahead
	cancel         context.CancelFunc
	err            error // why the response is incomplete
}

// errClientClosed reports that writing the response to the client failed.
var errClientClosed = errors.New("client closed the connection")

// fail records why the response is incomplete. If the client closed the
// connection, that is the cause, whichever error it led to.
func (resp *response) fail(err error) {
	if errors.Is(err, errClientClosed) || resp.httpRequest.Context().Err() != nil {
		err = errClientClosed
		resp.backend.pool.ClientsClosed.Add(1)
	}
	resp.err = err
}

// logInvalidHeaders logs how many header lines package fastcgi has left out of
// the response, because they are not valid HTTP header fields. It must run once
// per response, when the head is there.
func (resp *response) logInvalidHeaders() {
	n := resp.body.InvalidHeaders()
	if n == 0 {
		return
	}
	resp.backend.logger.Warn("invalid header lines in the response from PHP dropped",
		zap.String("pool", resp.backend.pool.Name), zap.String("script", resp.stderr.script), zap.Int("count", n))
}

// logSurplus logs how many bytes package fastcgi has left out of the body, because
// they are beyond the Content-Length that the script has sent.
func (resp *response) logSurplus() {
	n := resp.body.Surplus()
	if n == 0 {
		return
	}
	resp.backend.logger.Warn("body beyond its Content-Length in the response from PHP dropped",
		zap.String("pool", resp.backend.pool.Name), zap.String("script", resp.stderr.script), zap.Int64("bytes", n))
}

// close releases the worker and everything else that the request holds, and
// leaves the pool.
func (resp *response) close() {
	if resp.buffer != nil {
		resp.buffer.stop()
	}
	if !resp.body.TryEnd() {
		resp.runOn()
		return
	}
	resp.free()
	resp.backend.pool.Release()
}

// completed is called when all of the body has arrived. The worker can then serve
// the next request while this client reads, unless the script runs on.
func (resp *response) completed() {
	if resp.body.Running() {
		resp.Finish()
		return
	}
	resp.Release()
	resp.requestBody.Free()
}

// runOn is close for a script that has completed its response and runs on, as after
// fastcgi_finish_request: the rest happens when it ends.
func (resp *response) runOn() {
	resp.Finish()
	resp.endSpan()
	r := detached(resp.httpRequest)
	resp.httpRequest, resp.stderr.request = r, r
	go func() {
		resp.free()
		resp.backend.pool.Release()
	}()
}

// detached returns a copy of a request for what is logged when its handler has
// returned. Other handlers may still set variables: the log has some of them.
func detached(r *http.Request) *http.Request {
	ctx := context.WithoutCancel(r.Context())
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	return r.Clone(ctx)
}

// free is close without leaving the pool.
func (resp *response) free() {
	status := http.StatusBadGateway
	if resp.Response != nil {
		resp.Close()
		resp.logSurplus()
		status = resp.HTTP.StatusCode
	}
	resp.cancel()
	resp.request.FastCGI.Free()
	resp.requestBody.Free()
	resp.stderr.flush(status)
	resp.endSpan()
}

// endSpan ends the span. It is idempotent.
func (resp *response) endSpan() {
	if resp.span != nil {
		endSpan(resp.span, resp.Response, resp.err)
		resp.span = nil
	}
}
