package live

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// warmupRoute sends requests to a generation that is not active yet. It is a value
// of their context: the requests pass through all of Caddy's routes as any other
// request, and only [Pool.Do] sends them to that generation.
type warmupRoute struct {
	pool     *Pool
	prepared *pool.Prepared // nil to find out only which pool a request is for
	worker   int            // index of the generation's worker to use
	// release is the one that a deployment warms up, else nil.
	release *release.Release
	cancel  func() // ends the current request

	// Results of the last request.
	reachedPHP bool
	status     int       // 0 without a response
	otherPool  bool      // it was for another pool, as that of a worker script of the site
	doErr      error     // the worker cannot be used any more, or sent no response
	stderr     quotation // of the script
}

type warmupRouteKey struct{}

var (
	// activeWarmups counts generations that are being warmed up; see Do.
	activeWarmups atomic.Int32

	errNoSite    = errors.New("found no site that uses the pool: write an absolute URL")
	errOtherPool = errors.New("a warmup is for one pool only")
)

// errWarmupTimeout returns the error of a request that took too long.
func errWarmupTimeout(limit time.Duration) error {
	return fmt.Errorf("no complete response within %v (start_timeout)", limit)
}

// warm runs the requests of the option warmup on a prepared generation. It returns
// an error only if warmup_strict is set; else it logs errors.
func (p *Pool) warm(ctx context.Context, app Owner, plan *poolcfg.Plan, prepared *pool.Prepared) error {
	start := time.Now()
	requests, err := p.warmupRequests(app, plan.Options.Warmup)
	if err != nil {
		return err
	}
	n, errs := p.warmWith(ctx, plan, prepared, requests, nil)
	if plan.Options.RequiresWarmup() {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		p.logger.Warn("warmup failed; continuing (warmup_strict is off)", zap.Error(err))
	}
	p.logger.Info("warmup done", zap.Int("requests", n), zap.Int("failed", len(errs)), zap.Duration("duration", time.Since(start)))
	return nil
}

// warmWith runs requests on a prepared generation, of a release if rel is not nil. It
// returns how many, and their errors.
func (p *Pool) warmWith(ctx context.Context, plan *poolcfg.Plan, prepared *pool.Prepared, requests []warmupRequest, rel *release.Release) (n int, errs []error) {
	activeWarmups.Add(1)
	defer activeWarmups.Add(-1)
	// Workers that share an OPcache need only one warm worker.
	workers := 1
	if plan.Spawn == poolcfg.SpawnSingle {
		workers = prepared.Workers()
	}
	for worker := range workers {
		if rel != nil && len(errs) > 0 {
			break // it is refused
		}
		w := &warmupRoute{pool: p, prepared: prepared, worker: worker, release: rel}
		for _, r := range requests {
			if err := w.request(ctx, plan.Settings.StartTimeout, r); err != nil {
				errs = append(errs, fmt.Errorf("warmup %s: %w", r.url, err))
			}
			if w.doErr != nil {
				break // the worker is unusable
			}
		}
	}
	stopCtx, cancel := context.WithTimeout(ctx, plan.Settings.StopTimeout)
	defer cancel()
	prepared.DiscardFailed(stopCtx)
	return len(requests) * workers, errs
}

// warmupRequest is one request of a warmup.
type warmupRequest struct {
	site
	url *url.URL
}

// warmupRequests returns the requests of the option warmup: for a path, one to
// every site that uses the pool, and for an absolute URL, one to its site.
func (p *Pool) warmupRequests(app Owner, uris []string) ([]warmupRequest, error) {
	web, err := app.HTTPApp()
	if err != nil {
		return nil, fmt.Errorf("warmup: %w", err)
	}
	sites := findSites(web, p)
	var requests []warmupRequest
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, fmt.Errorf("warmup %s: %w", uri, err)
		}
		if u.IsAbs() {
			target, err := siteFor(web, u)
			if err != nil {
				return nil, fmt.Errorf("warmup %s: %w: write the URL of a site of this config", uri, err)
			}
			requests = append(requests, warmupRequest{target, u})
			continue
		}
		if len(sites) == 0 {
			return nil, fmt.Errorf("warmup %s: %w", uri, errNoSite)
		}
		for _, target := range sites {
			full := *u
			if full.Scheme = "http"; target.secure {
				full.Scheme = "https"
			}
			full.Host = target.host
			requests = append(requests, warmupRequest{target, &full})
		}
	}
	return requests, nil
}

// request sends one request through Caddy. It returns an error if the response is
// a server error or does not come from PHP.
func (w *warmupRoute) request(ctx context.Context, limit time.Duration, target warmupRequest) error {
	ctx, w.cancel = context.WithTimeoutCause(context.WithValue(ctx, warmupRouteKey{}, w), limit, errWarmupTimeout(limit))
	defer w.cancel()
	if w.release != nil {
		var done func()
		ctx, done = release.With(ctx, w.release)
		defer done()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.url.String(), http.NoBody)
	if err != nil {
		return err
	}
	r.RequestURI = r.URL.RequestURI()
	r.URL.Scheme, r.URL.Host = "", ""
	r.RemoteAddr = "127.0.0.1:0"
	r.Header.Set("User-Agent", "php_pool warmup")
	if target.secure {
		r.TLS = &tls.ConnectionState{
			Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: target.url.Hostname(),
		}
	}
	w.doErr, w.reachedPHP, w.otherPool = nil, false, false
	w.stderr.Reset()
	rec := &responseRecorder{header: http.Header{}}
	err = serve(target.server, rec, r)
	w.status = rec.status
	err = w.check(rec, err)
	if err != nil && w.prepared != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if said := strings.TrimSpace(w.stderr.String()); said != "" {
			err = fmt.Errorf("%w; PHP said: %s", err, said)
		}
		return err
	}
	return nil
}

// check returns an error if the recorded response is a server error or does not
// come from PHP. err is the result of serve.
func (w *warmupRoute) check(rec *responseRecorder, err error) error {
	switch {
	case w.otherPool || w.prepared == nil:
		return nil
	case err != nil && w.doErr == nil && w.reachedPHP:
		if status, exited := w.prepared.ExitStatus(w.worker); exited {
			w.doErr = fmt.Errorf("worker exited during the response (%s): %w", cmp.Or(status, "exit status unknown"), err)
			return w.doErr
		}
		return err
	case err != nil:
		return err
	case w.doErr != nil:
		return w.doErr
	case rec.status >= http.StatusInternalServerError:
		return fmt.Errorf("got status %d: %s", rec.status, strings.TrimSpace(rec.body.String()))
	case w.release != nil && rec.status == http.StatusNotFound:
		// The release lacks the script, or the application does not know its own page.
		return fmt.Errorf("got status %d: %s", rec.status, strings.TrimSpace(rec.body.String()))
	case !w.reachedPHP:
		return fmt.Errorf("got status %d, but not from PHP: write the path of a PHP page", rec.status)
	}
	return nil
}

// serve calls ServeHTTP and returns its panic, such as http.ErrAbortHandler, as an
// error.
func serve(server http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("response aborted: %v", v)
		}
	}()
	server.ServeHTTP(w, r)
	return nil
}

// responseRecorder is a ResponseWriter that keeps the status and the first
// bytes of the body.
type responseRecorder struct {
	header http.Header
	status int
	body   quotation
}

// captureStderr keeps the beginning of what the script writes to stderr, in
// addition to where it goes.
func (w *warmupRoute) captureStderr(r *fastcgi.Request) {
	if r.Stderr == nil {
		r.Stderr = &w.stderr
		return
	}
	r.Stderr = io.MultiWriter(r.Stderr, &w.stderr)
}

// quotation keeps the first maxQuotation bytes of what is written to it.
type quotation struct{ bytes.Buffer }

// maxQuotation limits how much of a response, and of stderr, an error quotes, in
// bytes.
const maxQuotation = 500

// Write implements io.Writer. It never returns an error.
func (q *quotation) Write(p []byte) (int, error) {
	q.Buffer.Write(p[:min(len(p), max(0, maxQuotation-q.Len()))])
	return len(p), nil
}

func (rec *responseRecorder) Header() http.Header { return rec.header }

func (rec *responseRecorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK {
		rec.status = status
	}
}

func (rec *responseRecorder) Write(p []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	return rec.body.Write(p)
}

// Flush does nothing. It is for handlers that require an http.Flusher.
func (rec *responseRecorder) Flush() {}

// Interface guards
var _ http.Flusher = (*responseRecorder)(nil)
