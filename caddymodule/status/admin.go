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

// Admin adds the pools to Caddy's admin API.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.php_pool", New: func() caddy.Module { return new(Admin) }}
}

// Routes are those below /php_pool/.
func (a Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/php_pool/", Handler: caddy.AdminHandlerFunc(a.page)},
		{Pattern: "/php_pool/pools", Handler: caddy.AdminHandlerFunc(a.listPools)},
		{Pattern: "/php_pool/pools/", Handler: caddy.AdminHandlerFunc(a.handlePool)},
	}
}

// endpoint is one thing that can be asked of a pool; arg is what follows it in the
// path.
type endpoint func(w http.ResponseWriter, r *http.Request, l *live.Pool, arg string) error

// endpoints are by what follows the pool's name in the path, and by method.
var endpoints = map[string]map[string]endpoint{
	"":        {http.MethodGet: showPool},
	"ping":    {http.MethodGet: pingPool},
	"status":  {http.MethodGet: showStatus},
	"restart": {http.MethodPost: restartPool},
	"scale":   {http.MethodPost: scalePool},
	"workers": {http.MethodGet: showWorkers, http.MethodDelete: recycleWorker},
	"opcache": {http.MethodGet: showOPcache, http.MethodDelete: clearOPcache},
}

func (Admin) listPools(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, describeAll(detail{}))
}

// describeAll describes the pools of all configs, by name.
func describeAll(d detail) []poolJSON {
	list := []poolJSON{}
	for _, l := range live.All() {
		list = append(list, describePool(l, d))
	}
	slices.SortFunc(list, func(a, b poolJSON) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// handlePool answers /php_pool/pools/{name}[/{call}[/{arg}]]. Names are escaped, so
// that they may hold slashes.
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
		return notFound("there is no call %q: it is one of %s", parts[1],
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

func showPool(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	return writeJSON(w, describePool(l, detail{workers: true, fullURI: wantsFullURI(r)}))
}

// wantsFullURI: queries may hold passwords and tokens, so they are shown only to
// those who ask for them.
func wantsFullURI(r *http.Request) bool { return r.URL.Query().Has("full_uri") }

// showStatus answers as php-fpm's status page does.
func showStatus(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	return serveStatus(l, w, r, wantsFullURI(r))
}

// pingPool answers as php-fpm's ping page does.
func pingPool(w http.ResponseWriter, _ *http.Request, l *live.Pool, _ string) error {
	if err := ping(l, w); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	return nil
}

func restartPool(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	if err := l.Restart(r.Context(), "by request"); err != nil {
		return changeError(err)
	}
	return writeJSON(w, describePool(l, detail{}))
}

func scalePool(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	var size live.Size
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	body.DisallowUnknownFields()
	if err := body.Decode(&size); err != nil {
		return caddy.APIError{
			HTTPStatus: http.StatusBadRequest,
			Err:        fmt.Errorf(`reading the body: %w: send JSON such as {"max_workers": 8, "min_workers": 2}`, err),
		}
	}
	renewed, err := l.Scale(r.Context(), size)
	if err != nil {
		return changeError(err)
	}
	return writeJSON(w, struct {
		poolJSON
		NewGeneration bool `json:"new_generation"`
	}{describePool(l, detail{}), renewed})
}

// workerID is the id that follows workers/ in the path.
func workerID(arg string) (uint64, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return 0, notFound("there is no worker %q: write its id, which workers_list shows", arg)
	}
	return id, nil
}

// showWorkers tells of one worker, or of all, what they do at this moment, down
// to the line of PHP where that can be had.
func showWorkers(w http.ResponseWriter, r *http.Request, l *live.Pool, arg string) error {
	if arg == "" {
		return writeJSON(w, describeActivity(l, func(uint64) bool { return true }, wantsFullURI(r)))
	}
	id, err := workerID(arg)
	if err != nil {
		return err
	}
	list := describeActivity(l, func(other uint64) bool { return other == id }, wantsFullURI(r))
	if len(list) == 0 {
		return notFound("there is no worker %d in pool %s", id, l.Name)
	}
	return writeJSON(w, list[0])
}

// recycleWorker replaces a worker after its request; with ?force at once.
func recycleWorker(w http.ResponseWriter, r *http.Request, l *live.Pool, arg string) error {
	id, err := workerID(arg)
	if err != nil {
		return err
	}
	if err := l.Pool.Recycle(id, r.URL.Query().Has("force")); err != nil {
		return notFound("there is no worker %d in pool %s: %w", id, l.Name, err)
	}
	return writeJSON(w, describePool(l, detail{workers: true}))
}

// changeError is why a pool stayed as it was.
func changeError(err error) error {
	status := http.StatusInternalServerError
	var option *live.BadOptionError
	switch {
	case errors.As(err, &option):
		status = http.StatusBadRequest
	case errors.Is(err, live.ErrConfigChanged), errors.Is(err, live.ErrNotStarted), errors.Is(err, pool.ErrClosed):
		status = http.StatusConflict
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

func notFound(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf(format, args...)}
}

// allow refuses all methods but those; whoever may GET may also HEAD.
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
		Err:        fmt.Errorf("%s is not allowed here: use %s", r.Method, strings.Join(methods, " or ")),
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = Admin{}
