package status

import (
	"net/http"
	"net/url"

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

// Status responds with the state of a pool in the formats of php-fpm's status page:
// text, or with the query `?json`, `?xml`, `?html` or `?openmetrics`. `?full` adds
// the workers. Browsers get a page that shows the pool live, unless the query
// selects a format.
//
// Only requests from localhost have access, and those from the ranges in allow.
type Status struct {
	statusAccess

	// Show the URIs of requests with their queries, which may contain passwords
	// and tokens. Default: false.
	FullURI bool `json:"full_uri,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Status) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_status",
		New: func() caddy.Module { return new(Status) },
	}
}

// Provision finds the pool and parses the ranges in allow.
func (s *Status) Provision(ctx caddy.Context) error { return s.provision(ctx) }

// ServeHTTP responds with the pool's state.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	p, err := s.authorize(w, r)
	if err != nil {
		return err
	}
	if wantsPage(r) {
		return servePage(w, r, []*live.Pool{p}, func() []poolJSON {
			return []poolJSON{describePool(p, detail{workers: true, opcache: true, fullURI: s.FullURI})}
		})
	}
	return ServeFPM(p, w, r.URL.Query(), s.FullURI)
}

// ServeFPM responds with php-fpm's status page for a query. fullURI shows the queries of
// the requests.
func ServeFPM(p *live.Pool, w http.ResponseWriter, query url.Values, fullURI bool) error {
	page := statusPage(p, query.Has("full"), fullURI)
	if hasPHP(p, 8, 4) { // php-fpm has the field from 8.4 on
		page.AddMemoryPeak()
	}
	return page.Respond(w, query)
}

// hasPHP reports whether the pool's PHP has at least this version.
func hasPHP(p *live.Pool, major, minor int) bool {
	plan, _ := p.Active()
	return plan != nil && plan.Binary.Version.AtLeast(major, minor)
}

// statusPage returns the current state of the pool. full adds the workers, and
// fullURI the queries of their requests.
func statusPage(p *live.Pool, full, fullURI bool) *fpmstatus.Page {
	if !full {
		s := p.Pool.Stats()
		return fpmstatus.Short(&s)
	}
	used := p.Sampler.Sample(p.Pool)
	s, workers := p.Pool.Snapshot()
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
//	    allow <cidr>...|private_ranges|all
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
