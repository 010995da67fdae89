package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// poolUser is a provisioned handler or transport that sends requests to a pool.
type poolUser interface{ PoolName() string }

// poolApp is the php_pool app, with the pools that the handlers provisioned so far
// use, and those that it defines.
type poolApp interface {
	PoolNames() []string
	DefinesPool(name string) bool
}

// findPool returns the pool that the handler in ctx shows. Without a name that is
// the pool of the php_pool in the same site, or else the only pool of the config.
// The handlers of a config are provisioned in no particular order, so findPool reads
// the configuration of those that are not provisioned yet.
func findPool(ctx caddy.Context, name string) (string, error) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok { // not in a server, so the pools are not known here
		if name == "" {
			name = poolcfg.DefaultPool
		}
		return name, nil
	}
	app, err := ctx.App("php_pool")
	if err != nil {
		return "", err
	}
	pools := app.(poolApp)
	all, err := poolsOfConfig(ctx, pools)
	if err != nil {
		return "", err
	}
	switch {
	case name == allPools && !pools.DefinesPool(name):
		return "", fmt.Errorf("php_pool_status shows one pool, not *: %s", thereAre(all))
	case len(all) == 0:
		return "", errors.New("there is no pool to show: write php_pool in a site")
	case name != "" && !slices.Contains(all, name) && pools.DefinesPool(name):
		return "", fmt.Errorf("pool %s does not run, because no php_pool uses it: write pool %s in the block of a php_pool", name, name)
	case name != "" && !slices.Contains(all, name):
		return "", fmt.Errorf("there is no pool %s: %s", name, thereAre(all))
	case name != "":
		return name, nil
	}
	if site := poolsOfSite(ctx, server); len(site) == 1 {
		return site[0], nil
	} else if len(site) > 1 {
		return "", fmt.Errorf("it needs the name of a pool, because its site has more than one: %s", thereAre(site))
	}
	if len(all) > 1 {
		return "", fmt.Errorf("it needs the name of a pool, because its site has no php_pool: %s", thereAre(all))
	}
	return all[0], nil
}

// thereAre lists pools for an error.
func thereAre(pools []string) string {
	const limit = 20 // a config may have hundreds
	switch {
	case len(pools) == 1:
		return "there is " + pools[0]
	case len(pools) > limit:
		return fmt.Sprintf("there are %s and %d more", strings.Join(pools[:limit], ", "), len(pools)-limit)
	}
	return "there are " + strings.Join(pools, ", ")
}

// poolsOfConfig returns the pools that the handlers of all servers use, sorted.
func poolsOfConfig(ctx caddy.Context, app poolApp) ([]string, error) {
	web, err := ctx.App("http")
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, name := range app.PoolNames() {
		all[name] = true
	}
	for _, server := range web.(*caddyhttp.App).Servers {
		s := &scope{server: server, pools: all}
		s.addServer()
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// poolsOfSite returns the pools of the innermost routes around the handler in ctx
// that use any, sorted: a Caddyfile's site is a subroute of the server, or all of it.
func poolsOfSite(ctx caddy.Context, server *caddyhttp.Server) []string {
	for _, module := range slices.Backward(ctx.Modules()) {
		if sub, ok := module.(*caddyhttp.Subroute); ok {
			s := &scope{server: server, pools: map[string]bool{}}
			s.addRoutes(sub.Routes)
			if len(s.pools) > 0 {
				return slices.Sorted(maps.Keys(s.pools))
			}
		}
	}
	s := &scope{server: server, pools: map[string]bool{}}
	s.addServer()
	if len(s.pools) > 1 && isSubroute(ctx) {
		return nil // of other sites
	}
	return slices.Sorted(maps.Keys(s.pools))
}

// isSubroute reports whether the handler in ctx is in a subroute.
func isSubroute(ctx caddy.Context) bool {
	return slices.ContainsFunc(ctx.Modules(), func(m caddy.Module) bool { _, ok := m.(*caddyhttp.Subroute); return ok })
}

// scope collects the pools that some routes of a server use. A route has either
// provisioned handlers or, until all of them are provisioned, their configuration.
type scope struct {
	server *caddyhttp.Server
	pools  map[string]bool
	depth  int
}

func (s *scope) addServer() {
	s.addRoutes(s.server.Routes)
	if s.server.Errors != nil {
		s.addRoutes(s.server.Errors.Routes)
	}
	for name := range s.server.NamedRoutes {
		s.addNamed(name)
	}
}

func (s *scope) addRoutes(list caddyhttp.RouteList) {
	for i := range list {
		s.addRoute(&list[i])
	}
}

// addNamed adds a named route, which other routes invoke.
func (s *scope) addNamed(name string) {
	if route := s.server.NamedRoutes[name]; route != nil {
		s.addRoute(route)
	}
}

func (s *scope) addRoute(route *caddyhttp.Route) {
	if s.depth > 100 { // named routes may invoke each other
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	for _, raw := range route.HandlersRaw {
		var value any
		if json.Unmarshal(raw, &value) == nil { // if not, Caddy reports it
			s.addConfig(value)
		}
	}
	for _, handler := range route.Handlers {
		s.addHandler(handler)
	}
}

func (s *scope) addHandler(handler any) {
	switch h := handler.(type) {
	case poolUser:
		s.pools[h.PoolName()] = true
	case *caddyhttp.Subroute:
		s.addRoutes(h.Routes)
	case *caddyhttp.Invoke:
		s.addNamed(h.Name)
	case *reverseproxy.Handler:
		s.addHandler(h.Transport)
	}
}

// addConfig adds the pools of handlers and transports in a part of the config.
func (s *scope) addConfig(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			s.addConfig(element)
		}
	case map[string]any:
		switch name, _ := value["pool"].(string); {
		case value["handler"] != "php_pool" && value["protocol"] != "php_pool":
		case name == "":
			s.pools[poolcfg.DefaultPool] = true
		default:
			s.pools[name] = true
		}
		if name, ok := value["name"].(string); ok && value["handler"] == "invoke" {
			s.addNamed(name)
		}
		for _, element := range value {
			s.addConfig(element)
		}
	}
}
