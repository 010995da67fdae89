package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler runs PHP: it does what the routes of php_fastcgi and php-fpm do
// together, with php-cgi workers that Caddy itself starts.
//
// A request for a directory is redirected to the path with a slash; try_files
// picks the file, by default the path itself, the directory's index or the
// site's index; a path that then ends with `.php` is run, any other goes to the
// next handler (file_server).
type Handler struct {
	Backend

	// The index file of a directory and of the site. `off` leaves the path as
	// it is: only paths that end with `.php` are run. Default: `index.php`.
	Index string `json:"index,omitempty"`

	// The files to try, in order, instead of `{path} {path}/index.php
	// index.php`; as in the try_files of php_fastcgi.
	TryFiles []string `json:"try_files,omitempty"`

	// Whether what no visitor should see is answered 404 instead of being
	// passed on to the next handler, as a rule file_server: names that begin
	// with a dot (but `/.well-known/`), PHP source and copies of it
	// (`index.php.bak`, `index.php~`, `.inc`, `.phar`, `.phtml`), settings
	// (`.ini`), dumps (`.sql`), `composer.json` and `composer.lock`. Only
	// requests that the handler sees are judged, by their name. Default: true.
	HideSensitive *bool `json:"hide_sensitive,omitempty"`

	// The configuration of a reverse_proxy handler through which the answer
	// goes: for handle_response, replace_status, header_up, header_down and
	// what else only reverse_proxy can do. Its transport and upstreams are
	// set by this handler. Without it requests take a shorter way.
	ProxyRaw json.RawMessage `json:"reverse_proxy,omitempty"`

	router *cgi.Router
	proxy  *reverseproxy.Handler
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler and joins its pool. It starts no worker.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := h.provision(ctx); err != nil {
		return err
	}
	var err error
	if h.router, err = cgi.NewRouter(ctx, &h.site, h.Index, h.TryFiles); err != nil {
		return err
	}
	if h.ProxyRaw == nil {
		return nil
	}
	return h.provisionProxy(ctx)
}

// provisionProxy makes the reverse proxy that has our transport.
func (h *Handler) provisionProxy(ctx caddy.Context) error {
	proxy := new(reverseproxy.Handler)
	if err := caddy.StrictUnmarshalJSON(h.ProxyRaw, proxy); err != nil {
		return fmt.Errorf("reverse_proxy: %w", err)
	}
	if proxy.TransportRaw != nil || len(proxy.Upstreams) > 0 || proxy.DynamicUpstreamsRaw != nil {
		return fmt.Errorf("reverse_proxy of php_pool cannot have a transport or upstreams of its own: " +
			"PHP answers; leave them out")
	}
	proxy.TransportRaw = caddyconfig.JSONModuleObject(Transport{Backend: h.Backend}, "protocol", "php_pool", nil)
	proxy.Upstreams = reverseproxy.UpstreamPool{{Dial: "php_pool.internal:9000"}}
	if proxy.FlushInterval == 0 {
		proxy.FlushInterval = -1 // what PHP flushes reaches the client at once
	}
	h.proxy = proxy
	return proxy.Provision(ctx)
}

// Cleanup frees what the reverse proxy holds.
func (h *Handler) Cleanup() error {
	if h.proxy == nil {
		return nil
	}
	return h.proxy.Cleanup()
}

// ServeHTTP answers requests for PHP and passes on all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v := requestStateFrom(r)
	if done, err := h.router.Route(w, r, &v.State); done || err != nil {
		return err
	}
	if path := cgi.CleanPath(r.URL.Path); !h.site.IsScript(path) {
		if poolcfg.ValueOr(h.HideSensitive, true) && h.site.IsSensitive(path) {
			return caddyhttp.Error(http.StatusNotFound, fmt.Errorf(
				"%s is hidden, as its name says that it is nobody's business (hide_sensitive)", path))
		}
		return next.ServeHTTP(w, r)
	}
	var err error
	if h.proxy != nil {
		err = h.proxy.ServeHTTP(w, r, next)
	} else {
		err = h.serveDirect(w, r, v)
	}
	if err != nil {
		live.SetRetryAfter(w.Header(), err)
	}
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
