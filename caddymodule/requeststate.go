package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// requestState is attached to every request that passes a php_pool handler. It
// feeds the placeholders, the access log and later php_pool handlers.
type requestState struct {
	cgi.State

	// Pool and script belong to the last php_pool handler that ran; an error
	// route may run another one.
	pool, script string
	// response is nil until PHP has responded.
	response *pool.Response
	logged   bool
}

// requestStateVar is the request variable that holds the requestState.
const requestStateVar = "php_pool.state"

// requestStateFrom returns the state of a request, or begins it: the placeholders are known
// from there on, and empty until PHP answers.
func requestStateFrom(r *http.Request) *requestState {
	ctx := r.Context()
	if v, ok := caddyhttp.GetVar(ctx, requestStateVar).(*requestState); ok {
		return v
	}
	v := &requestState{State: cgi.NewState(ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer))}
	caddyhttp.SetVar(ctx, requestStateVar, v)
	v.Repl.Map(v.placeholder)
	return v
}

// begin is called before PHP is asked. The access log, where there is one, is
// given a field that is made up when it is written.
func (v *requestState) begin(r *http.Request, pool, script string) {
	v.pool, v.script, v.response = pool, script, nil
	if v.logged {
		return
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Object("php_pool", v))
		v.logged = true
	}
}

// placeholder is the value of {http.php_pool.*} and {http.matchers.file.*}.
func (v *requestState) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, "http.php_pool.")
	if !ours {
		if name, ours = strings.CutPrefix(key, "http.matchers.file."); ours {
			return v.File(name)
		}
		return nil, false
	}
	x := v.response
	switch {
	case name == "script":
		return v.script, true
	case x == nil:
		switch name {
		case "worker", "pid", "generation", "queue_seconds", "ttfb_seconds":
			return nil, true
		}
		return nil, false
	}
	switch name {
	case "worker":
		return x.Worker, true
	case "pid":
		return x.PID, true
	case "generation":
		return x.Generation, true
	case "queue_seconds":
		return x.Wait.Seconds(), true
	case "ttfb_seconds":
		return x.TimeToFirstByte.Seconds(), true
	}
	return nil, false
}

// MarshalLogObject makes the field php_pool of the access log.
func (v *requestState) MarshalLogObject(to zapcore.ObjectEncoder) error {
	to.AddString("pool", v.pool)
	to.AddString("script", v.script)
	if x := v.response; x != nil {
		to.AddUint64("worker", x.Worker)
		to.AddInt("pid", x.PID)
		to.AddInt("generation", x.Generation)
		to.AddFloat64("queue_seconds", x.Wait.Seconds())
		to.AddFloat64("ttfb_seconds", x.TimeToFirstByte.Seconds())
	}
	return nil
}

// Interface guards
var _ zapcore.ObjectMarshaler = (*requestState)(nil)
