package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// requestState is attached to every request that passes a php_pool handler. The
// placeholders, the access log and later php_pool handlers read it.
type requestState struct {
	cgi.State

	// pool and script are those of the last php_pool handler that ran; an error
	// route may run another one.
	pool, script string
	// response is nil until PHP has responded.
	response *pool.Response
	logged   bool // the access log has the field
	bodyRead bool // a php_pool handler has read the request's body, or some of it
	// errorHeader is the response header to which a handler that failed has added its
	// Retry-After; nil if none has.
	errorHeader http.Header

	// notRun is true if PHP has run nothing for the request and it must be routed
	// again. body is its body, which was read already.
	notRun     bool
	body       spool.Body
	reroutedAt time.Time // zero if the request was routed once
	// worker is the number of the worker that matches the path of the request, counted
	// from 1; see workerRoutes.matching.
	worker int
	// byHandler is true while the request passes a Handler, which routes it again;
	// otherwise the Transport looks at its files again.
	byHandler bool

	// phpLog gets what PHP logs for the request, if a developer sees it.
	phpLog io.Writer

	// stream is the request's body if a handler has passed it on while it arrived.
	stream *clientBody
	writer http.ResponseWriter // of that handler; nil in a transport of reverse_proxy
}

// requestStateVar is the request variable that holds the requestState.
const requestStateVar = "php_pool.state"

// requestStateFrom returns the state of a request, or attaches a new one. From
// then on the placeholders exist; they are empty until PHP has responded.
func requestStateFrom(r *http.Request) *requestState {
	ctx := r.Context()
	if s, ok := caddyhttp.GetVar(ctx, requestStateVar).(*requestState); ok {
		return s
	}
	s := &requestState{State: cgi.NewState(ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer))}
	caddyhttp.SetVar(ctx, requestStateVar, s)
	s.Repl.Map(s.placeholder)
	return s
}

// begin sets the pool and script before the request is sent to PHP. If the server
// has an access log, begin adds the field php_pool, which is encoded when the
// entry is written.
func (s *requestState) begin(r *http.Request, pool, script string) {
	s.pool, s.script, s.response = pool, script, nil
	if s.logged {
		return
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Object("php_pool", s))
		s.logged = true
	}
}

// replaceRetryAfter removes the Retry-After of a handler that failed if the error page
// that PHP renders has one too.
func (s *requestState) replaceRetryAfter(page http.Header) {
	if s.errorHeader != nil && len(page["Retry-After"]) > 0 {
		delete(s.errorHeader, "Retry-After")
	}
}

// placeholder returns the value of a placeholder {http.php_pool.*} or
// {http.matchers.file.*}, and whether it exists.
func (s *requestState) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, "http.php_pool.")
	if !ok {
		if name, ok = strings.CutPrefix(key, "http.matchers.file."); ok {
			return s.File(name)
		}
		return nil, false
	}
	resp := s.response
	switch {
	case name == "script":
		return s.script, true
	case resp == nil:
		switch name {
		case "worker", "pid", "generation", "queue_seconds", "time_to_first_byte_seconds":
			return nil, true
		}
		return nil, false
	}
	switch name {
	case "worker":
		return resp.Worker, true
	case "pid":
		return resp.PID, true
	case "generation":
		return resp.Generation, true
	case "queue_seconds":
		return resp.Wait.Seconds(), true
	case "time_to_first_byte_seconds":
		return resp.TimeToFirstByte.Seconds(), true
	}
	return nil, false
}

// MarshalLogObject encodes the field php_pool of the access log.
func (s *requestState) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("pool", s.pool)
	enc.AddString("script", s.script)
	if resp := s.response; resp != nil {
		enc.AddUint64("worker", resp.Worker)
		enc.AddInt("pid", resp.PID)
		enc.AddInt("generation", resp.Generation)
		enc.AddFloat64("queue_seconds", resp.Wait.Seconds())
		enc.AddFloat64("time_to_first_byte_seconds", resp.TimeToFirstByte.Seconds())
	}
	return nil
}

// Interface guards
var _ zapcore.ObjectMarshaler = (*requestState)(nil)
