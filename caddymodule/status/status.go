package status

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmstatus"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

func init() {
	caddy.RegisterModule(Status{})
	httpcaddyfile.RegisterHandlerDirective("php_pool_status", parseStatus)
	httpcaddyfile.RegisterDirectiveOrder("php_pool_status", httpcaddyfile.Before, "reverse_proxy")
}

// Status answers with the state of a pool as php-fpm's status page does: as
// text, or by the query as `?json`, `?xml`, `?html` or `?openmetrics`; with
// `?full` also that of each worker. A browser that names none of these gets a
// page that shows the pool live.
//
// Only this machine may ask, unless more addresses are allowed.
type Status struct {
	statusAccess

	// Whether the URIs of requests are shown with their queries, which may hold
	// passwords and tokens. Default: false.
	FullURI bool `json:"full_uri,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Status) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_status",
		New: func() caddy.Module { return new(Status) },
	}
}

// Provision parses the ranges.
func (s *Status) Provision(caddy.Context) error { return s.provision() }

// ServeHTTP answers with the pool's state.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	p, err := s.authorize(w, r)
	if err != nil {
		return err
	}
	if wantsPage(r) {
		return servePage(w, r, func() []poolJSON {
			return []poolJSON{describePool(p, detail{workers: true, opcache: true, fullURI: s.FullURI})}
		})
	}
	return serveStatus(p, w, r, s.FullURI)
}

// serveStatus answers with php-fpm's status page.
func serveStatus(l *live.Pool, w http.ResponseWriter, r *http.Request, fullURI bool) error {
	query := r.URL.Query()
	page := statusPage(l, query.Has("full"), fullURI)
	if runsPHP(l, 8, 4) {
		page.AddMemoryPeak()
	}
	return page.Respond(w, query)
}

// runsPHP reports whether the pool's PHP is that release or a newer one.
func runsPHP(l *live.Pool, major, minor int) bool {
	current, _ := l.Active()
	return current != nil && current.Binary.Version.AtLeast(major, minor)
}

// statusPage takes the state of the pool; full adds the workers, fullURI the
// queries of their requests.
func statusPage(l *live.Pool, full, fullURI bool) *fpmstatus.Page {
	if !full {
		s := l.Pool.Stats()
		return fpmstatus.Short(&s)
	}
	used := l.Sampler.Sample(l.Pool)
	s, workers := l.Pool.Snapshot()
	list := make([]fpmstatus.Worker, len(workers))
	for i, w := range workers {
		u := used[w.ID]
		list[i] = fpmstatus.Worker{WorkerStats: w, CPU: u.Share, Memory: u.Memory}
	}
	return fpmstatus.Full(&s, list, fullURI)
}

// parseStatus sets up the handler from Caddyfile tokens:
//
//	php_pool_status [<matcher>] [<pool>] {
//	    allow <cidr>...
//	    full_uri
//	}
func parseStatus(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Status)
	return s, s.parse(h.Dispenser, map[string]func(*caddyfile.Dispenser) error{
		"full_uri": func(d *caddyfile.Dispenser) error {
			s.FullURI = true
			return noMoreArgs(d)
		},
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Status)(nil)
	_ caddyhttp.MiddlewareHandler = (*Status)(nil)
)
