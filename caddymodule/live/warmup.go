package live

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// warmupRoute sends requests to a generation that does not serve yet. It travels in
// their context, so that they go their whole way through Caddy like any other
// and only at its end, in the pool, turn off to that generation.
type warmupRoute struct {
	pool     *Pool
	prepared *pool.Prepared
	worker   int
	lost     error // of the last request: it had no answer
	reached  bool  // the last request came to PHP
}

type warmupRouteKey struct{}

// warm requests what the options say from a generation that stands ready. It
// returns an error when that should keep the generation from serving.
func (l *Pool) warm(ctx context.Context, app owner, s *poolcfg.Plan, prepared *pool.Prepared) error {
	began := time.Now()
	requests, err := l.warmups(app, s.Options.Warmup)
	if err != nil {
		return err
	}
	l.activeWarmups.Add(1)
	defer l.activeWarmups.Add(-1)
	// Workers that share an OPcache are warm when one of them is.
	workers := 1
	if s.Spawn == poolcfg.SpawnSingle {
		workers = prepared.Workers()
	}
	var failed []error
	for worker := range workers {
		w := &warmupRoute{pool: l, prepared: prepared, worker: worker}
		for _, r := range requests {
			if err := w.request(ctx, s.Settings.StartTimeout, r); err != nil {
				failed = append(failed, fmt.Errorf("warmup %s: %w", r.url, err))
			}
			if w.lost != nil {
				break // and the worker with it
			}
		}
	}
	stopping, cancel := context.WithTimeout(ctx, s.Settings.StopTimeout)
	defer cancel()
	prepared.DiscardFailed(stopping)
	if poolcfg.ValueOr(s.Options.WarmupStrict, false) {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		l.logger.Warn("warmup failed; continuing (warmup_strict is off)", zap.Error(err))
	}
	l.logger.Info("warmup done", zap.Int("requests", len(requests)*workers), zap.Int("failed", len(failed)),
		zap.Duration("duration", time.Since(began)))
	return nil
}

// warmupRequest is one request to send.
type warmupRequest struct {
	site
	url *url.URL
}

// warmups are the requests that the option asks for: a path for every site
// that leads to the pool, a URL for the one it names.
func (l *Pool) warmups(app owner, uris []string) ([]warmupRequest, error) {
	web, err := app.HTTPApp()
	if err != nil {
		return nil, fmt.Errorf("warmup: %w", err)
	}
	sites := findSites(web, l)
	var list []warmupRequest
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, fmt.Errorf("warmup %s: %w", uri, err)
		}
		if u.IsAbs() {
			to, err := siteFor(web, u)
			if err != nil {
				return nil, fmt.Errorf("warmup %s: %w: write the address of a site of this config", uri, err)
			}
			list = append(list, warmupRequest{to, u})
			continue
		}
		if len(sites) == 0 {
			return nil, fmt.Errorf("warmup %s: no site was found that uses the pool: write the whole URL", uri)
		}
		for _, to := range sites {
			full := *u
			if full.Scheme = "http"; to.secure {
				full.Scheme = "https"
			}
			full.Host = to.host
			list = append(list, warmupRequest{to, &full})
		}
	}
	return list, nil
}

// httpRequest sends one request through Caddy and judges the answer.
func (w *warmupRoute) request(ctx context.Context, limit time.Duration, to warmupRequest) (err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, warmupRouteKey{}, w), limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.url.String(), http.NoBody)
	if err != nil {
		return err
	}
	r.RequestURI = r.URL.RequestURI()
	r.URL.Scheme, r.URL.Host = "", ""
	r.RemoteAddr = "127.0.0.1:0"
	r.Header.Set("User-Agent", "php_pool warmup")
	if to.secure {
		r.TLS = &tls.ConnectionState{
			Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: to.url.Hostname(),
		}
	}
	w.lost, w.reached = nil, false
	answer := &responseRecorder{header: http.Header{}}
	if err := serve(to.server, answer, r); err != nil {
		return err
	}
	switch {
	case w.lost != nil:
		return w.lost
	case answer.status >= http.StatusInternalServerError:
		return fmt.Errorf("got status %d: %s", answer.status, strings.TrimSpace(answer.body.String()))
	case !w.reached:
		return fmt.Errorf("got status %d, and not from PHP: write the path of a page that PHP makes", answer.status)
	}
	return nil
}

// serveDirect is ServeHTTP, with an error for an answer that breaks off.
func serve(server http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the answer broke off: %v", v)
		}
	}()
	server.ServeHTTP(w, r)
	return nil
}

// responseRecorder takes an answer and keeps what is wanted of it: the status, and of
// an error the first words.
type responseRecorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

const maxErrorBody = 200

func (v *responseRecorder) Header() http.Header { return v.header }

func (v *responseRecorder) WriteHeader(status int) {
	if v.status == 0 && status >= http.StatusOK {
		v.status = status
	}
}

func (v *responseRecorder) Write(p []byte) (int, error) {
	v.WriteHeader(http.StatusOK)
	v.body.Write(p[:min(len(p), maxErrorBody-min(maxErrorBody, v.body.Len()))])
	return len(p), nil
}

// Flush is for handlers that insist on it.
func (v *responseRecorder) Flush() {}

// Interface guards
var _ http.Flusher = (*responseRecorder)(nil)
