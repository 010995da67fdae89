package live

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// site is a server and host that sends requests to a pool.
type site struct {
	server *caddyhttp.Server
	host   string
	secure bool
}

// anyHost is the Host of requests to a site that accepts any host.
const anyHost = "localhost"

// findSites returns the sites of a config that send requests to the pool.
func findSites(web *caddyhttp.App, p *Pool) []site {
	var sites []site
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		hosts := map[string]bool{}
		eachHandler(server, func(h caddyhttp.MiddlewareHandler, host string) {
			user, ok := h.(poolUser)
			if proxy, isProxy := h.(*reverseproxy.Handler); isProxy {
				user, ok = proxy.Transport.(poolUser)
			}
			if ok && user.UsesPool(p) {
				hosts[host] = true
			}
		})
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			sites = append(sites, site{server, host, len(server.TLSConnPolicies) > 0})
		}
	}
	return sites
}

// poolUser is a handler or transport that may send requests to a pool.
type poolUser interface{ UsesPool(*Pool) bool }

// EachHandler calls f for each handler of a provisioned config, with each host whose
// requests reach it; for a site that accepts any host that is localhost. It cannot see
// routes inside the handlers of other modules.
func EachHandler(web *caddyhttp.App, f func(h caddyhttp.MiddlewareHandler, host string)) {
	for _, server := range web.Servers {
		eachHandler(server, f)
	}
}

func eachHandler(server *caddyhttp.Server, f func(h caddyhttp.MiddlewareHandler, host string)) {
	w := &siteWalker{server: server, f: f}
	w.walkRoutes(server.Routes, "")
}

// siteWalker calls f for the handlers of a server.
type siteWalker struct {
	server *caddyhttp.Server
	f      func(h caddyhttp.MiddlewareHandler, host string)
	depth  int
}

// walkRoutes walks routes that a host reaches; "" is any host.
func (w *siteWalker) walkRoutes(list caddyhttp.RouteList, host string) {
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
				w.walkHandler(handler, host)
			}
		}
	}
}

func (w *siteWalker) walkHandler(h caddyhttp.MiddlewareHandler, host string) {
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		w.walkRoutes(h.Routes, host)
	case *caddyhttp.Invoke:
		if named := w.server.NamedRoutes[h.Name]; named != nil {
			w.walkRoutes(caddyhttp.RouteList{*named}, host)
		}
	default:
		w.f(h, cmp.Or(host, anyHost))
	}
}

// hostsOf returns the hosts that the matchers of a route name, empty if they name
// none. Hosts with placeholders are skipped, and "www" replaces a wildcard.
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

// siteFor returns the site that receives requests for an absolute URL.
func siteFor(web *caddyhttp.App, u *url.URL) (site, error) {
	secure := u.Scheme == "https"
	if !secure && u.Scheme != "http" {
		return site{}, fmt.Errorf("the scheme of %s is neither http nor https", u)
	}
	port := uint(web.HTTPPort)
	if secure {
		port = uint(web.HTTPSPort)
	}
	if p := u.Port(); p != "" {
		if _, err := fmt.Sscan(p, &port); err != nil {
			return site{}, fmt.Errorf("port of %s: %w", u, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
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
	return site{}, fmt.Errorf("no server of this config listens on port %d for %s", port, u.Scheme)
}
