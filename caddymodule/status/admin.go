package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/pool"
)

func init() { caddy.RegisterModule(Admin{}) }

// Admin adds the pools to Caddy's admin API, below /php_pool/.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.php_pool", New: func() caddy.Module { return new(Admin) }}
}

// Routes returns the routes below /php_pool/.
func (a Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/php_pool/", Handler: caddy.AdminHandlerFunc(a.page)},
		{Pattern: "/php_pool/deploy", Handler: caddy.AdminHandlerFunc(a.deploy)},
		{Pattern: "/php_pool/pools", Handler: caddy.AdminHandlerFunc(a.listPools)},
		{Pattern: "/php_pool/pools/", Handler: caddy.AdminHandlerFunc(a.handlePool)},
	}
}

// endpoint handles one call of the API for a pool. arg is the rest of the path.
type endpoint func(w http.ResponseWriter, r *http.Request, p *live.Pool, arg string) error

// endpoints has the endpoints by the path element after the pool's name, and by
// method.
var endpoints = map[string]map[string]endpoint{
	"":        {http.MethodGet: showPool},
	"history": {http.MethodGet: showHistory},
	"ping":    {http.MethodGet: pingPool},
	"drain":   {http.MethodPost: drainPool, http.MethodDelete: undoDrain},
	"status":  {http.MethodGet: showStatus},
	"restart": {http.MethodPost: restartPool},
	"scale":   {http.MethodPost: scalePool},
	"workers": {http.MethodGet: showWorkers, http.MethodDelete: recycleWorker},
	"opcache": {http.MethodGet: showOPcache, http.MethodDelete: resetOPcache},
}

func (Admin) listPools(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, describeAll(detail{}))
}

// describeAll describes the pools of all configs, sorted by name.
func describeAll(d detail) []poolJSON {
	list := []poolJSON{}
	for _, p := range live.All() {
		list = append(list, describePool(p, d))
	}
	slices.SortFunc(list, func(a, b poolJSON) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// handlePool serves /php_pool/pools/{name}[/{call}[/{arg}]]. Names are escaped, because
// they may contain slashes.
func (Admin) handlePool(w http.ResponseWriter, r *http.Request) error {
	var parts [3]string
	for i, part := range strings.SplitN(strings.TrimPrefix(r.URL.EscapedPath(), "/php_pool/pools/"), "/", 3) {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
	}
	byMethod, known := endpoints[parts[1]]
	if !known {
		return notFound("unrecognized call %q (one of: %s)", parts[1],
			strings.Join(slices.Sorted(maps.Keys(endpoints))[1:], ", "))
	}
	p := live.Find(parts[0])
	if p == nil {
		return notFound("there is no pool %q", parts[0])
	}
	if err := allow(w, r, slices.Sorted(maps.Keys(byMethod))...); err != nil {
		return err
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return byMethod[method](w, r, p, parts[2])
}

func showPool(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	return writeJSON(w, describePool(p, detail{workers: true, fullURI: wantsFullURI(r)}))
}

// wantsFullURI reports whether to show the queries of requests. They may contain
// passwords and tokens, so the default is false.
func wantsFullURI(r *http.Request) bool { return r.URL.Query().Has("full_uri") }

// showStatus responds with php-fpm's status page.
func showStatus(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	return ServeFPM(p, w, r.URL.Query(), wantsFullURI(r))
}

// pingPool responds as php-fpm's ping page does.
func pingPool(w http.ResponseWriter, _ *http.Request, p *live.Pool, _ string) error {
	if err := ServePing(w, Pong, p); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	return nil
}

// drainPool makes the ping respond with 503, so that a balancer sends its requests
// elsewhere. The pool serves as before.
func drainPool(w http.ResponseWriter, _ *http.Request, p *live.Pool, _ string) error {
	p.SetDrained(true)
	return writeJSON(w, describePool(p, detail{}))
}

func undoDrain(w http.ResponseWriter, _ *http.Request, p *live.Pool, _ string) error {
	p.SetDrained(false)
	return writeJSON(w, describePool(p, detail{}))
}

func restartPool(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	if err := p.Restart(r.Context(), "by request"); err != nil {
		return changeError(err)
	}
	return writeJSON(w, describePool(p, detail{}))
}

func scalePool(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	var size live.Size
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	body.DisallowUnknownFields()
	if err := body.Decode(&size); err != nil {
		return caddy.APIError{
			HTTPStatus: http.StatusBadRequest,
			Err:        fmt.Errorf(`reading the body: %w: send JSON such as {"max_workers": 8, "min_workers": 2}`, err),
		}
	}
	newGeneration, err := p.Scale(r.Context(), size)
	if err != nil {
		return changeError(err)
	}
	return writeJSON(w, struct {
		poolJSON
		NewGeneration bool `json:"new_generation"`
	}{describePool(p, detail{}), newGeneration})
}

// workerID parses the ID after workers/ in the path.
func workerID(arg string) (uint64, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return 0, notFound("there is no worker %q: use an ID from workers_list", arg)
	}
	return id, nil
}

// showWorkers responds with the current activity of one worker, or of all, with the
// PHP backtraces if they are available.
func showWorkers(w http.ResponseWriter, r *http.Request, p *live.Pool, arg string) error {
	if arg == "" {
		return writeJSON(w, describeActivity(p, func(uint64) bool { return true }, wantsFullURI(r)))
	}
	id, err := workerID(arg)
	if err != nil {
		return err
	}
	list := describeActivity(p, func(workerID uint64) bool { return workerID == id }, wantsFullURI(r))
	if len(list) == 0 {
		return notFound("there is no worker %d in pool %s", id, p.Name)
	}
	return writeJSON(w, list[0])
}

// recycleWorker replaces a worker after its request, with ?force at once.
func recycleWorker(w http.ResponseWriter, r *http.Request, p *live.Pool, arg string) error {
	id, err := workerID(arg)
	if err != nil {
		return err
	}
	if err := p.Pool.Recycle(id, r.URL.Query().Has("force")); err != nil {
		return notFound("there is no worker %d in pool %s", id, p.Name)
	}
	return writeJSON(w, describePool(p, detail{workers: true}))
}

// changeError returns the API error for a restart, a resize or a deployment that failed.
func changeError(err error) error {
	status := http.StatusInternalServerError
	var option *live.BadOptionError
	var refused *live.DeployError
	var busy *live.DeployBusyError
	switch {
	case errors.As(err, &busy):
		status = http.StatusConflict
	case errors.As(err, &option):
		status = http.StatusBadRequest
	case errors.Is(err, live.ErrConfigChanged), errors.Is(err, live.ErrNotStarted), errors.Is(err, pool.ErrClosed):
		status = http.StatusConflict
	case errors.As(err, &refused):
		status = http.StatusUnprocessableEntity
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

func notFound(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf(format, args...)}
}

// allow returns an error unless the request has one of the methods. GET includes
// HEAD.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) error {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	if slices.Contains(methods, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return caddy.APIError{
		HTTPStatus: http.StatusMethodNotAllowed,
		Err:        fmt.Errorf("method %s is not allowed: use %s", r.Method, strings.Join(methods, " or ")),
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = Admin{}
