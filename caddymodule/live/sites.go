package live

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Site is where requests for a pool come in.
type site struct {
	server *caddyhttp.Server
	host   string
	secure bool
}

// anyHost stands for a site that answers whatever the host is.
const anyHost = "localhost"

// findSites finds the sites of a config that lead to a pool, by walking the
// routes that are provisioned. Routes inside other modules' handlers stay
// unseen.
func findSites(app *caddyhttp.App, p *Pool) []site {
	var found []site
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		walk := &siteWalker{server: server, pool: p, hosts: map[string]bool{}}
		walk.routes(server.Routes, "")
		for _, host := range slices.Sorted(maps.Keys(walk.hosts)) {
			found = append(found, site{server, host, len(server.TLSConnPolicies) > 0})
		}
	}
	return found
}

// poolUser is a handler or transport that may send requests to a pool.
type poolUser interface{ UsesPool(*Pool) bool }

// siteWalker gathers the hosts under which a server leads to a pool.
type siteWalker struct {
	server *caddyhttp.Server
	pool   *Pool
	hosts  map[string]bool
	depth  int
}

// routes walks routes that are reached under a host; "" is any.
func (w *siteWalker) routes(list caddyhttp.RouteList, host string) {
	if w.depth > 100 { // named routes may invoke each other
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	for _, route := range list {
		hosts := hostsOf(route.MatcherSets)
		if len(hosts) == 0 {
			hosts = []string{host}
		}
		for _, handler := range route.Handlers {
			for _, host := range hosts {
				w.handler(handler, host)
			}
		}
	}
}

func (w *siteWalker) handler(h caddyhttp.MiddlewareHandler, host string) {
	leads := false
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		w.routes(h.Routes, host)
	case *caddyhttp.Invoke:
		if named := w.server.NamedRoutes[h.Name]; named != nil {
			w.routes(caddyhttp.RouteList{*named}, host)
		}
	case poolUser:
		leads = h.UsesPool(w.pool)
	case *reverseproxy.Handler:
		t, ok := h.Transport.(poolUser)
		leads = ok && t.UsesPool(w.pool)
	}
	if leads {
		if host == "" {
			host = anyHost
		}
		w.hosts[host] = true
	}
}

// hostsOf lists hosts that a route is for; none if it is for any.
func hostsOf(sets caddyhttp.MatcherSets) []string {
	var hosts []string
	for _, set := range sets {
		for _, matcher := range set {
			var match caddyhttp.MatchHost
			switch m := matcher.(type) {
			case caddyhttp.MatchHost:
				match = m
			case *caddyhttp.MatchHost:
				match = *m
			}
			for _, host := range match {
				if !strings.Contains(host, "{") {
					hosts = append(hosts, strings.Replace(host, "*", "www", 1))
				}
			}
		}
	}
	return hosts
}

// siteFor finds the server that a whole URL leads to.
func siteFor(app *caddyhttp.App, u *url.URL) (site, error) {
	secure := u.Scheme == "https"
	if !secure && u.Scheme != "http" {
		return site{}, fmt.Errorf("%s is no http or https URL", u)
	}
	port := uint(app.HTTPPort)
	if secure {
		port = uint(app.HTTPSPort)
	}
	if p := u.Port(); p != "" {
		if _, err := fmt.Sscan(p, &port); err != nil {
			return site{}, fmt.Errorf("%s has no port number: %w", u, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		if len(server.TLSConnPolicies) > 0 != secure {
			continue
		}
		for _, text := range server.Listen {
			addr, err := caddy.ParseNetworkAddress(text)
			if err == nil && addr.StartPort <= port && port <= addr.EndPort {
				return site{server, u.Host, secure}, nil
			}
		}
	}
	return site{}, fmt.Errorf("no server of this config answers %s://…:%d", u.Scheme, port)
}
