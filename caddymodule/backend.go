package caddymodule

import (
	"context"
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

// Backend is the way from an HTTP request to PHP and back: which pool, which
// script, which variables. The php_pool handler and the php_pool transport of
// reverse_proxy share it.
type Backend struct {
	// The name of the pool that runs the scripts: one that the php_pool app
	// defines, or the name for the one defined here by `pool_options`.
	// Default: `default`.
	Pool string `json:"pool,omitempty"`

	// The options of a pool of this handler's own. Options that are left out
	// are those of the php_pool app's `defaults`.
	PoolOptions *poolcfg.Options `json:"pool_options,omitempty"`

	// The site's root directory. Default: `{http.vars.root}`, which the root
	// directive sets, or the current directory.
	Root string `json:"root,omitempty"`

	// Where a path is split in script and PATH_INFO, and the extensions that a
	// script may have. ASCII only; case does not matter. Default: `.php`.
	SplitPath []string `json:"split_path,omitempty"`

	// Variables for PHP besides those of CGI, in $_SERVER. Placeholders are
	// replaced.
	Env map[string]string `json:"env,omitempty"`

	// Whether symlinks in the root are followed, once per request, before PHP
	// sees it, so that a deploy that moves a symlink is seen at once and no
	// request mixes two releases. Default: true.
	ResolveRootSymlink *bool `json:"resolve_root_symlink,omitempty"`

	// Whether a script that a symlink leads out of the root, or to a file
	// without an allowed extension, is answered 404 instead of being run. For
	// sites whose users may make symlinks and should not reach each other's
	// scripts. It costs a few system calls for each request. Default: false.
	ConfineSymlinks bool `json:"confine_symlinks,omitempty"`

	// Whether what a script sends to its error log is logged with the request
	// it belongs to, as a warning, or as an error when the response has a 4xx
	// or 5xx status. Default: true.
	CaptureStderr *bool `json:"capture_stderr,omitempty"`

	// How long a request waits for a worker; php_fastcgi's dial_timeout.
	// Default: the pool's queue_timeout.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long PHP may send nothing before the request is given up with 504.
	// Default: no limit.
	ReadTimeout caddy.Duration `json:"read_timeout,omitempty"`

	// How long PHP may take no byte of the request. Default: no limit.
	WriteTimeout caddy.Duration `json:"write_timeout,omitempty"`

	// How many bytes of a request body are kept in memory. A larger one of up to
	// 4 MiB is too, as long as all of these take no more than 16 MiB; else it goes
	// to a temporary file. -1: all, whatever its size, which lets clients fill
	// the memory. Default: 65536.
	RequestBuffers int64 `json:"request_buffers,omitempty"`

	// How many bytes a request body may have; 413 above that. Default: no
	// limit but that of request_body.
	MaxBody int64 `json:"max_body,omitempty"`

	// How many bytes of an answer that is longer than 128 KiB are kept in
	// memory for a client that is slow to take it, so that the worker is free
	// when PHP has ended. Nothing is delayed, streams included. Each such
	// answer may take that much memory. -1: all of it, whatever its size.
	// Default: 0, none.
	ResponseBuffers int64 `json:"response_buffers,omitempty"`

	site   cgi.Site
	pool   *live.Pool
	logger *zap.Logger
	// propagator tells PHP about the span: by the headers that Caddy's tracing
	// uses too, which OTEL_PROPAGATORS chooses.
	propagator propagation.TextMapPropagator
}

const defaultRequestBuffers = 64 << 10

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
	if b.ResponseBuffers < 0 {
		b.ResponseBuffers = math.MaxInt
	}
	b.site = cgi.Site{
		Root: b.Root, SplitPath: b.SplitPath, Env: b.Env, ConfineSymlinks: b.ConfineSymlinks,
		ResolveRootSymlink: b.ResolveRootSymlink == nil || *b.ResolveRootSymlink,
	}
	if err := b.site.Provision(); err != nil {
		return err
	}
	app, err := ctx.App("php_pool")
	if err != nil {
		return err
	}
	b.pool, err = app.(*App).usePool(b.Pool, b.PoolOptions, b.site.Root)
	return err
}

// roundTrip sends the request to PHP and returns when the head of the response is
// there. It is the one way to PHP; its errors carry the status for the client.
func (b *Backend) roundTrip(r *http.Request, v *requestState, proxied bool) (*response, error) {
	b.pool.Acquire()
	a, err := b.send(r, v, proxied)
	if err != nil {
		b.pool.Release()
	}
	return a, err
}

// send is answer, for those who have entered the pool.
func (b *Backend) send(r *http.Request, v *requestState, proxied bool) (*response, error) {
	s, err := b.site.FindScript(r, &v.State)
	if err != nil {
		return nil, err
	}
	if err := b.pool.CheckAdminINI(s.Filename); err != nil {
		return nil, err
	}
	in, err := b.pool.Spool.Read(r, b.RequestBuffers, b.MaxBody)
	if err != nil {
		return nil, bodyError(err)
	}
	req := fastcgi.NewRequest()
	a := &response{
		backend: b, httpRequest: r, requestBody: in, request: pool.Request{FastCGI: req, Repeatable: safeMethod(r.Method)},
		stderr: stderrLog{backend: b, request: r, script: s.Filename}, cancel: func() {},
	}
	env := cgi.EnvWriter{Site: &b.site, Request: r, Repl: v.Repl, Dst: req, Proxied: proxied}
	a.span, env.TraceHeaders = b.startSpan(r.Context(), s.Filename)
	env.Write(&s, in.Length)
	if in.Length > 0 {
		req.Body, req.ContentLength = in.ReadSeeker, in.Length
	}
	req.Head = r.Method == http.MethodHead
	req.ReadTimeout, req.WriteTimeout = time.Duration(b.ReadTimeout), time.Duration(b.WriteTimeout)
	req.Stderr = &a.stderr
	a.request.Info = env.Info(&s, in.Length)
	a.request.Info.MaxWait = time.Duration(b.DialTimeout)
	if b.pool.LimitsClients.Load() {
		a.request.Info.Client = cgi.ClientKey(r)
	}
	v.begin(r, b.pool.Name, s.Filename)
	ctx := r.Context()
	if b.ResponseBuffers > 0 {
		ctx, a.cancel = context.WithCancel(ctx)
	}
	if a.Response, err = b.pool.Do(ctx, &a.request); err != nil {
		a.fail(err)
		a.finish()
		return nil, b.toHTTPError(err, r, &s)
	}
	v.response = a.Response
	a.body = a.HTTP.Body.(*fastcgi.Body)
	whole := a.body.Fill(fastcgi.MaxFill)
	if whole {
		// A short answer that is here as a whole: its length is known, and the
		// worker can serve the next request while this client reads.
		a.Release()
		a.requestBody.Free()
		a.endSpan()
	}
	if err := b.permissionError(a); err != nil {
		a.finish()
		return nil, err
	}
	if b.ResponseBuffers > 0 && !whole {
		a.startReadAhead(int(b.ResponseBuffers))
	}
	return a, nil
}

// UsesPool reports whether requests go to that pool.
func (b *Backend) UsesPool(p *live.Pool) bool { return b.pool == p }

// requestURI is the path the client asked for, without the query, which may
// hold what does not belong in a log.
func requestURI(r *http.Request) string { return cgi.OriginalURL(r).EscapedPath() }

// safeMethod reports whether a method has no effect by its definition (RFC 9110
// section 9.2.1), so that the request may be sent twice.
func safeMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
