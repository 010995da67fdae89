package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/devpage"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler runs PHP scripts in a pool of php-cgi workers that Caddy starts. It
// replaces both php_fastcgi and php-fpm.
//
// It routes like php_fastcgi: a request for a directory that has an index file is
// redirected to the path with a trailing slash. Then `try_files` picks the file;
// by default these are the path itself, the index file of that directory, and the
// index file of the site. A path that then ends in `.php` is run. All other
// requests go to the next handler, usually file_server.
//
// The handler sets these placeholders. Those of the worker are empty until PHP has
// responded: use them in `header_down`, `handle_response` and deferred headers
// (`header >X-Worker {http.php_pool.worker}`).
//
// Placeholder | Description
// ------------|-------------
// `{http.php_pool.script}` | The file that PHP runs
// `{http.php_pool.worker}` | The ID of the worker that responded
// `{http.php_pool.pid}` | The process ID of that worker
// `{http.php_pool.generation}` | The number of the worker's generation; each new generation of the pool gets the next number
// `{http.php_pool.queue_seconds}` | How long the request waited for the worker, in seconds
// `{http.php_pool.time_to_first_byte_seconds}` | The time from when the request got the worker until PHP sent the response header, in seconds
// `{http.matchers.file.relative}` | The file that routing picked, relative to the root, as a URL path
// `{http.matchers.file.absolute}` | The same file with the path of the root
// `{http.matchers.file.remainder}` | What follows the script in the path (PATH_INFO)
// `{http.matchers.file.type}` | Always `file`
//
// If a request passes several php_pool handlers, as with an error page that PHP
// renders, the values are those of the last one.
type Handler struct {
	Backend

	// The index file of a directory and of the site. `off` disables routing:
	// only requests for paths that end in `.php` are run. Default: `index.php`.
	Index string `json:"index,omitempty"`

	// The files to try, in this order, like the `try_files` of php_fastcgi.
	// Default: `{path} {path}/index.php index.php`, with the name of the index
	// file.
	TryFiles []string `json:"try_files,omitempty"`

	// Respond with 404 to requests for files that should not be public, instead
	// of passing them to the next handler: dotfiles (except `/.well-known/`), PHP
	// source and its copies (`index.php.bak`, `index.php~`, `.inc`, `.phar`,
	// `.phtml`), `.ini`, `.sql`, `composer.json` and `composer.lock`. Matches by
	// name, and only requests that reach this handler. Default: true.
	HideSensitive *bool `json:"hide_sensitive,omitempty"`

	// Help developers in their browser: show what PHP logs for a page, and load the page
	// again when a file changes. It is refused on sites with a public name. Default: off.
	Dev *devpage.Options `json:"dev,omitempty"`

	// The configuration of a reverse_proxy handler that requests then go through,
	// for `handle_response`, `replace_status`, `header_up`, `header_down` and
	// everything else that only reverse_proxy can do. This handler sets its
	// transport and upstreams. Default: none, which is faster.
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
	if h.Dev != nil {
		if err := h.Dev.Provision(ctx); err != nil {
			return err
		}
	}
	if h.ProxyRaw == nil {
		return nil
	}
	return h.provisionProxy(ctx)
}

// provisionProxy sets up the reverse proxy that uses php_pool as its transport.
func (h *Handler) provisionProxy(ctx caddy.Context) error {
	proxy := new(reverseproxy.Handler)
	if err := caddy.StrictUnmarshalJSON(h.ProxyRaw, proxy); err != nil {
		return fmt.Errorf("reverse_proxy: %w", err)
	}
	if proxy.TransportRaw != nil || len(proxy.Upstreams) > 0 || proxy.DynamicUpstreamsRaw != nil {
		return errors.New("reverse_proxy of php_pool cannot have a transport or upstreams, " +
			"because php_pool is the transport: remove them")
	}
	proxy.TransportRaw = caddyconfig.JSONModuleObject(Transport{Backend: h.Backend}, "protocol", "php_pool", nil)
	proxy.Upstreams = reverseproxy.UpstreamPool{{Dial: "php_pool.internal:9000"}}
	h.proxy = proxy
	if err := proxy.Provision(ctx); err != nil {
		return err
	}
	proxy.Transport.(*Transport).timedFlush = proxy.FlushInterval != 0
	return nil
}

// Cleanup cleans up what the handler consists of.
func (h *Handler) Cleanup() error {
	if h.Dev != nil {
		h.Dev.Cleanup()
	}
	if h.proxy == nil {
		return nil
	}
	return h.proxy.Cleanup()
}

// ServeHTTP runs PHP for requests that are routed to a script, and calls next for
// all others. Its errors have the HTTP status for the client.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.Dev != nil && h.Dev.Helps(r) {
		return h.serveDeveloper(w, r, next)
	}
	return h.serveRepeating(w, r, next, requestStateFrom(r))
}

// serveRepeating serves the request, and once more if PHP has run nothing for it because
// files have changed.
func (h *Handler) serveRepeating(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, state *requestState) error {
	url, uri := *r.URL, r.RequestURI
	err := h.serve(w, r, next, state)
	if err == nil || !state.notRun {
		return err
	}
	return state.repeat(r, err, func() error {
		*r.URL, r.RequestURI = url, uri
		return h.serve(w, r, next, state)
	})
}

// serve routes the request once.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, state *requestState) error {
	state.worker = h.workers.matching(r)
	if state.worker > 0 {
		if isFile, err := h.site.RouteToFile(r, &state.State); isFile || err != nil {
			if err != nil {
				return err
			}
			return h.serveOther(w, r, next, state)
		}
	} else if done, err := h.router.Route(w, r, &state.State); done || err != nil {
		return err
	} else if !h.site.IsScript(cgi.CleanPath(r.URL.Path)) {
		return h.serveOther(w, r, next, state)
	}
	if h.streams(r) {
		defer state.allowStreaming(w, r)()
	}
	var err error
	if h.proxy != nil {
		state.byHandler = true
		err = h.proxy.ServeHTTP(w, r, next)
		state.byHandler = false
	} else {
		err = h.serveDirect(w, r, state)
	}
	if err != nil {
		live.SetRetryAfter(w.Header(), err)
		live.SetProxyStatus(w.Header(), err)
		state.errorHeader = w.Header()
	}
	return err
}

// serveOther calls the next handler for a request that is not for a script, unless its
// path is hidden.
func (h *Handler) serveOther(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, state *requestState) error {
	if path := cgi.CleanPath(r.URL.Path); (h.HideSensitive == nil || *h.HideSensitive) && h.site.IsSensitive(path) {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is hidden by hide_sensitive", path))
	}
	return h.serveFile(w, r, next, state)
}

// serveFile calls the next handler, usually file_server. If that has not found a file
// which routing has found, because it was removed meanwhile, the request is routed
// again.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, state *requestState) error {
	file := state.StaticFile(&h.site)
	err := next.ServeHTTP(w, r)
	if err == nil || file == "" {
		return err
	}
	handled, ok := errors.AsType[caddyhttp.HandlerError](err)
	if ok && handled.StatusCode == http.StatusNotFound && cgi.Changed(file, state.routedAt(r)) {
		state.routeAgain()
	}
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
