package caddymodule

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Backend sends an HTTP request to PHP: it chooses the pool, the script and the
// CGI variables. The php_pool handler and the php_pool transport of reverse_proxy
// share it.
type Backend struct {
	// The pool whose workers run the scripts: the name of a pool of the php_pool
	// app, or of the pool that `pool_options` defines. Default: `default`.
	Pool string `json:"pool,omitempty"`

	// Defines a pool for this handler. Fields that are not set have the values of
	// the php_pool app's `defaults`.
	PoolOptions *poolcfg.Options `json:"pool_options,omitempty"`

	// Applications that stay in memory between requests, each in its own pool.
	Workers []*poolcfg.Worker `json:"workers,omitempty"`

	// The directory of the site's scripts. Other files are looked for in the site's
	// own root, from which file_server serves them. Default: `{http.vars.root}`,
	// which the `root` directive sets, or else the current directory.
	Root string `json:"root,omitempty"`

	// The extensions that a script may have. A path is split into the script and
	// PATH_INFO after the first name that has one and is not a directory. ASCII
	// only, case-insensitive. Default: `.php`.
	SplitPath []string `json:"split_path,omitempty"`

	// Additional variables for `$_SERVER`. Placeholders are replaced.
	Env map[string]string `json:"env,omitempty"`

	// Resolve symlinks in the root, once for each request, before PHP gets it. A
	// deployment that replaces a symlink takes effect with the next request, and
	// no request mixes two releases. Default: true.
	ResolveRootSymlink *bool `json:"resolve_root_symlink,omitempty"`

	// Respond with 404 if a symlink leads from the script out of the root, or to a
	// file without an allowed extension. Use it where users can create symlinks
	// and must not run each other's scripts. Costs a few system calls for each
	// request. Default: false.
	ConfineSymlinks bool `json:"confine_symlinks,omitempty"`

	// Tell PHP what a trusted proxy says of the client: `HTTPS`, `REQUEST_SCHEME` and
	// `SERVER_PORT` come from X-Forwarded-Proto, -Port and -Host, and `REMOTE_ADDR` is
	// Caddy's `{client_ip}`. Only for requests that come from one of the
	// `trusted_proxies` of Caddy's `servers` option; what others send in these headers
	// changes nothing. Default: false, as in php_fastcgi.
	TrustForwarded bool `json:"trust_forwarded,omitempty"`

	// Log what scripts write to PHP's error log together with the request: as an
	// error if the response has a 4xx or 5xx status, else as a warning. Default:
	// true.
	CaptureStderr *bool `json:"capture_stderr,omitempty"`

	// How long a request may wait in the queue for a worker, if that is less than
	// the pool's `queue_timeout`; after that the client gets 503. The name is that
	// of php_fastcgi. Default: the pool's `queue_timeout`.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long PHP may send nothing before the client gets 504. Default: no
	// limit.
	ReadTimeout caddy.Duration `json:"read_timeout,omitempty"`

	// How long PHP may read nothing of the request before the client gets 504.
	// Default: no limit.
	WriteTimeout caddy.Duration `json:"write_timeout,omitempty"`

	// The size, in bytes, up to which a request body is always kept in memory. A
	// larger one of up to 4 MiB is kept in memory while all of these take no more
	// than 16 MiB; otherwise it goes to a temporary file. -1: all of every body,
	// which lets clients exhaust the memory. Default: 65536.
	RequestBuffers int64 `json:"request_buffers,omitempty"`

	// Read a request body completely before a worker gets the request, as nginx's
	// fastcgi_request_buffering does. false: PHP gets the body while it arrives, for
	// `session.upload_progress` and resumable uploads, so a slow client holds a
	// worker. A form (`POST` of `application/x-www-form-urlencoded`) and a body of
	// unknown length are read completely all the same. Default: true.
	RequestBuffering *bool `json:"request_buffering,omitempty"`

	// How long a client may send nothing of a body that PHP gets while it arrives;
	// then it gets 408, and PHP runs with what has arrived. A negative value is no
	// limit. Default: 60s.
	BodyTimeout caddy.Duration `json:"body_timeout,omitempty"`

	// The maximum size of a request body in bytes; a larger one gets 413.
	// Default: no limit, except that of request_body.
	MaxBody int64 `json:"max_body,omitempty"`

	// How many bytes of a response above 128 KiB are kept in memory for a slow
	// client, so that the worker is free as soon as PHP is done. Nothing is
	// delayed, so streaming works. Each such response can take this much memory.
	// -1: all of it, whatever its size. Default: 0.
	ResponseBuffers int64 `json:"response_buffers,omitempty"`

	// Which clients get the Early Hints (103) that scripts send by `headers_send(103)`:
	// `h2` for those that use HTTP/2 or 3, `all`, or `off`. Only their `Link` headers
	// are sent. Default: `h2`, because some HTTP/1.1 clients do not expect them.
	EarlyHints string `json:"early_hints,omitempty"`

	site    cgi.Site
	pool    *live.Pool
	workers workerRoutes
	logger  *zap.Logger
	// inWorker is true if pool is that of a worker, whose script has started already.
	inWorker bool
	// propagator writes the headers by which PHP continues the trace. Like Caddy's
	// tracing it reads OTEL_PROPAGATORS.
	propagator propagation.TextMapPropagator
}

const defaultRequestBuffers = 64 << 10 // bytes

// provision prepares the backend and joins its pool.
func (b *Backend) provision(ctx caddy.Context) error {
	b.logger = ctx.Logger()
	b.propagator = autoprop.NewTextMapPropagator()
	switch {
	case b.RequestBuffers == 0:
		b.RequestBuffers = defaultRequestBuffers
	case b.RequestBuffers < 0:
		b.RequestBuffers = math.MaxInt64 - 1
	}
	if b.BodyTimeout == 0 {
		b.BodyTimeout = caddy.Duration(defaultBodyTimeout)
	}
	if b.ResponseBuffers < 0 {
		b.ResponseBuffers = math.MaxInt
	}
	b.site = cgi.Site{
		Root: b.Root, SplitPath: b.SplitPath, Env: b.Env, ConfineSymlinks: b.ConfineSymlinks,
		ResolveRootSymlink: b.ResolveRootSymlink == nil || *b.ResolveRootSymlink, TrustForwarded: b.TrustForwarded,
	}
	if err := b.site.Provision(); err != nil {
		return err
	}
	switch b.EarlyHints {
	case "", earlyHintsHTTP2, earlyHintsAll, earlyHintsOff:
	default:
		return fmt.Errorf("early_hints %s: write h2, all or off", b.EarlyHints)
	}
	app, err := ctx.App("php_pool")
	if err != nil {
		return err
	}
	if b.pool, err = app.(*App).usePool(b.Pool, b.PoolOptions, b.site.Root); err != nil {
		return err
	}
	b.workers, err = app.(*App).useWorkers(b)
	return err
}

// roundTrip sends the request to PHP and returns when the response header has
// arrived. All requests go through it. w receives interim responses; it is nil if the
// request comes from reverse_proxy, which writes them itself. The caller must close
// the response. Errors have the HTTP status for the client.
func (b *Backend) roundTrip(r *http.Request, state *requestState, w http.ResponseWriter) (*response, error) {
	b.acquire()
	matched := state.worker
	if w == nil && !state.byHandler {
		matched = b.workers.matching(r)
	}
	script, target, err := b.findScript(r, state, matched)
	if err != nil {
		b.release(nil)
		return nil, err
	}
	b.release(target)
	resp, err := target.send(r, state, w, script)
	if err != nil {
		target.pool.Release()
	}
	return resp, err
}

// send does the work of roundTrip. The caller has acquired the pool.
func (b *Backend) send(r *http.Request, state *requestState, w http.ResponseWriter, script cgi.Script) (*response, error) {
	if err := b.pool.CheckAdminINI(script.Filename); err != nil {
		return nil, err
	}
	body, stream, err := b.readBody(r, state)
	if err != nil {
		return nil, err
	}
	req := fastcgi.NewRequest()
	resp := &response{
		backend: b, httpRequest: r, requestBody: body, request: pool.Request{FastCGI: req, Repeatable: cgi.SafeMethod(r.Method)},
		stderr: stderrLog{backend: b, request: r, script: script.Filename, copyTo: state.phpLog}, cancel: func() {}, interimWriter: w,
	}
	env := cgi.EnvWriter{Site: &b.site, Request: r, Repl: state.Repl, Dst: req, Proxied: w == nil}
	resp.span, env.TraceHeaders = b.startSpan(r.Context(), script.Filename)
	env.Write(&script, body.Length)
	if env.UntoldHTTPS && !b.pool.UntoldHTTPS.Load() {
		b.pool.UntoldHTTPS.Store(true)
	}
	if body.Length > 0 {
		req.Body, req.ContentLength = body.ReadSeeker, body.Length
	}
	if stream != nil {
		req.Body, req.StreamBody, req.BodyTimeout = stream, true, max(0, time.Duration(b.BodyTimeout))
	}
	req.Head = r.Method == http.MethodHead
	req.ReadTimeout, req.WriteTimeout = time.Duration(b.ReadTimeout), time.Duration(b.WriteTimeout)
	req.Stderr, req.SignalMark, req.Interim = &resp.stderr, poolcfg.SignalMark, resp
	resp.request.Info = env.Info(&script, body.Length)
	resp.request.Info.MaxWait = time.Duration(b.DialTimeout)
	if b.pool.LimitsClients.Load() {
		resp.request.Info.Client = cgi.ClientKey(r)
	}
	state.begin(r, b.pool.Name, script.Filename)
	ctx := r.Context()
	if b.ResponseBuffers > 0 {
		ctx, resp.cancel = context.WithCancel(ctx)
	}
	if resp.Response, err = b.pool.Do(ctx, &resp.request); err != nil {
		resp.fail(err)
		resp.free()
		if stream != nil {
			if httpErr := streamError(err, r, stream); httpErr != nil {
				return nil, httpErr
			}
		}
		return nil, b.toHTTPError(err, r, &script)
	}
	state.response = resp.Response
	state.replaceRetryAfter(resp.HTTP.Header)
	live.RemoveProxyStatus(resp.HTTP.Header)
	if resp.HTTP.StatusCode >= http.StatusInternalServerError {
		b.pool.ServerErrors.Add(1)
	}
	resp.body = resp.HTTP.Body.(*fastcgi.Body)
	if stream != nil {
		resp.beforeResponse(state, stream)
	}
	resp.logInvalidHeaders()
	if status := resp.body.Interim(); status != 0 {
		sendInterim(w, r, status, resp.HTTP.Header)
	}
	if resp.ended = resp.body.Fill(fastcgi.MaxFill); resp.ended && !resp.body.Running() {
		// A short response that has arrived completely: its length is known, and
		// the worker can serve the next request while this client reads.
		resp.Release()
	}
	if err := b.notRunError(resp, state); err != nil {
		resp.free()
		return nil, err
	}
	if resp.ended {
		resp.completed()
		if !resp.body.Truncated() {
			resp.endSpan()
		}
	}
	if b.ResponseBuffers > 0 && !resp.ended {
		resp.startReadAhead(int(b.ResponseBuffers))
	}
	return resp, nil
}

// PoolName returns the name of the pool that b sends its requests to.
func (b *Backend) PoolName() string { return b.pool.Name }

// UsesPool reports whether b may send requests to p.
func (b *Backend) UsesPool(p *live.Pool) bool {
	return b.eachPool(func(own *live.Pool) bool { return own == p })
}

// requestURI returns the path that the client requested, for logs: without the
// query, which may hold secrets.
func requestURI(r *http.Request) string { return cgi.OriginalURL(r).EscapedPath() }
