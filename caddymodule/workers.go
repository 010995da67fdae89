package caddymodule

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
)

// workerRoutes are the workers to which a handler may send a request: its own ones, and
// then those of the global options.
type workerRoutes []*workerRoute

// workerRoute is a script that stays in memory, with its pool.
type workerRoute struct {
	file  string              // absolute
	match caddyhttp.MatchPath // instead of the script; may be empty
	// backend sends requests to the worker's pool.
	backend *Backend
}

// useWorkers returns the workers of a handler. It creates their pools, unless another
// handler has.
func (a *App) useWorkers(b *Backend) (workerRoutes, error) {
	var routes workerRoutes
	for _, w := range b.Workers {
		base, err := a.siteOptions(b)
		if err != nil {
			return nil, err
		}
		route, err := a.useWorker(b, w, b.Root, base, b.Env)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", w.File, err)
		}
		routes = append(routes, route)
	}
	for _, w := range a.Workers {
		base, err := a.options(poolcfg.DefaultPool, nil)
		if err != nil {
			return nil, err
		}
		route, err := a.useWorker(b, w, "", base, nil)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", w.File, err)
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// siteOptions returns the options of the ordinary pool of a handler.
func (a *App) siteOptions(b *Backend) (*poolcfg.Options, error) {
	name := cmp.Or(b.Pool, poolcfg.DefaultPool)
	if _, defined := a.Pools[name]; !defined && b.PoolOptions == nil && name != poolcfg.DefaultPool {
		return a.plans[name].Options, nil // of another handler
	}
	return a.options(name, b.PoolOptions)
}

// useWorker returns one worker of a handler, whose pool has the options base and the
// variables env. root is the one that a relative file is below.
func (a *App) useWorker(b *Backend, w *poolcfg.Worker, root string, base *poolcfg.Options, env map[string]string) (*workerRoute, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	file, err := w.Path(root)
	if err != nil {
		return nil, err
	}
	route := &workerRoute{file: file, match: caddyhttp.MatchPath(w.Match)}
	if err := route.match.Provision(a.ctx); err != nil {
		return nil, err
	}
	if len(w.Match) == 0 {
		if err := b.checkReachable(file, root); err != nil {
			return nil, err
		}
	}
	options := base.ForWorker(w, file, env)
	name := workerPoolName(w, root)
	if options.Isolates() {
		if err := options.BindToRoot(name, b.site.Root, true); err != nil {
			return nil, err
		}
	}
	p, err := a.joinPool(name, options, b.site.Root)
	if err != nil {
		return nil, err
	}
	backend := *b
	backend.Workers, backend.workers = nil, nil
	backend.pool, backend.inWorker = p, true
	backend.RequestBuffering = nil // the script gets a request that is complete
	backend.site = cgi.Site{
		Root: b.Root, SplitPath: b.SplitPath, Env: maps.Clone(b.Env), ConfineSymlinks: b.ConfineSymlinks,
		ResolveRootSymlink: b.site.ResolveRootSymlink,
	}
	if backend.site.Env == nil {
		backend.site.Env = map[string]string{}
	}
	maps.Copy(backend.site.Env, options.WorkerEnv())
	route.backend = &backend
	return route, backend.site.Provision()
}

// workerPoolName returns the name of a worker's pool. root is that of its handler.
func workerPoolName(w *poolcfg.Worker, root string) string {
	if w.Name != "" {
		return w.Name
	}
	file, err := w.Path(root)
	if err != nil {
		file = w.File
	}
	return nameFromRoot(file)
}

// checkReachable returns an error if no request can name the script of a worker without
// match.
func (b *Backend) checkReachable(file, root string) error {
	if !b.site.IsScript(file) {
		return fmt.Errorf("%s does not have the extension of a script: write match <path> for the requests that it handles, or rename it", file)
	}
	return outsideOfRoot(file, root)
}

// outsideOfRoot returns an error if the file exists, and the root too, and no request can
// name the file because it is outside of the root.
func outsideOfRoot(file, root string) error {
	if root == "" || strings.Contains(root, "{") || strings.Contains(file, "{") {
		return nil // unknown
	}
	root, err := caddy.FastAbs(root)
	if err != nil {
		return err
	}
	if file, err = caddy.FastAbs(file); err != nil {
		return err
	}
	for _, resolve := range []func(string) (string, error){keep, filepath.EvalSymlinks} {
		dir, err1 := resolve(root)
		script, err2 := resolve(file)
		if err1 != nil || err2 != nil || cgi.Below(dir, script) {
			return nil //nolint:nilerr // a missing file is reported by the plan
		}
	}
	return fmt.Errorf("%s is outside of the root %s, so that no request can name it: write match <path> for the requests that it handles, or move it", file, root)
}

func keep(path string) (string, error) { return path, nil }

// matching returns the number of the worker whose match the path of the request has,
// counted from 1, or 0.
func (routes workerRoutes) matching(r *http.Request) int {
	for i, w := range routes {
		if len(w.match) == 0 {
			continue
		}
		if ok, err := w.match.MatchWithError(r); ok && err == nil {
			return i + 1
		}
	}
	return 0
}

// running returns the worker that runs the script of a request, or nil.
func (routes workerRoutes) running(r *http.Request, state *requestState, script string) *workerRoute {
	rel := release.From(r.Context())
	for _, w := range routes {
		file := w.file
		if rel != nil {
			file = rel.Path(file)
		}
		if len(w.match) == 0 && state.SameInRoot(file, script) {
			return w
		}
	}
	return nil
}

// findScript returns the script of the request, and the backend whose pool runs it.
// matched is the number of the worker that matches the path, or 0. The caller must have
// acquired all pools, see acquire.
func (b *Backend) findScript(r *http.Request, state *requestState, matched int) (cgi.Script, *Backend, error) {
	if matched > 0 {
		w := b.workers[matched-1]
		script, err := w.backend.site.WorkerScript(r, &state.State, w.file)
		return script, w.backend, err
	}
	script, err := b.site.FindScript(r, &state.State)
	if err != nil || len(b.workers) == 0 {
		return script, b, err
	}
	if w := b.workers.running(r, state, script.Filename); w != nil {
		return script, w.backend, nil
	}
	return script, b, nil
}

// acquire keeps the pools open that a request may go to, before its script is known.
func (b *Backend) acquire() {
	b.pool.Acquire()
	for _, w := range b.workers {
		w.backend.pool.Acquire()
	}
}

// release ends acquire for all pools but that of target, which may be nil.
func (b *Backend) release(target *Backend) {
	if target != b {
		b.pool.Release()
	}
	for _, w := range b.workers {
		if w.backend != target {
			w.backend.pool.Release()
		}
	}
}

// eachPool calls f with the pools that b may send requests to until it returns true, and
// reports whether it has.
func (b *Backend) eachPool(f func(*live.Pool) bool) bool {
	if f(b.pool) {
		return true
	}
	for _, w := range b.workers {
		if f(w.backend.pool) {
			return true
		}
	}
	return false
}
