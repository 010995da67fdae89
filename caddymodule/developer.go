package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/devpage"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

// serveDeveloper is ServeHTTP for a request of a developer.
func (h *Handler) serveDeveloper(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	state := requestStateFrom(r)
	root, err := caddy.FastAbs(h.site.RootPath(r, state.Repl))
	if err != nil {
		return err
	}
	if h.Dev.ServeOwn(w, r, root, h.generation) {
		return nil
	}
	resp := h.Dev.Begin(w, r, root, h.generation)
	state.phpLog = resp.LogWriter()
	return resp.End(h.serveRepeating(resp, r, next, state))
}

// generation returns a number that changes when a pool of the handler has started its
// scripts again: an application that stays in memory is another one then.
func (h *Handler) generation() int {
	sum := 0
	h.eachPool(func(p *live.Pool) bool {
		sum += p.Pool.Stats().Generation
		return false
	})
	return sum
}

// checkDevelopers returns an error if a site with a public name has the option dev.
func (a *App) checkDevelopers() error {
	web, err := a.HTTPApp()
	if err != nil {
		return nil //nolint:nilerr // there is no site
	}
	live.EachHandler(web, func(handler caddyhttp.MiddlewareHandler, host string) {
		if h, ok := handler.(*Handler); ok && h.Dev != nil && err == nil {
			err = h.Dev.CheckHost(host)
		}
	})
	return err
}

// parseDev parses `dev [force] [<ranges...>]`, or `dev off`.
func parseDev(d *caddyfile.Dispenser, dst **devpage.Options) error {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		return nil
	}
	*dst = new(devpage.Options)
	for _, arg := range args {
		if arg == "force" {
			(*dst).Force = true
			continue
		}
		(*dst).Allow = append((*dst).Allow, arg)
	}
	return nil
}
