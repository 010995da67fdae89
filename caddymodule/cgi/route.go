package cgi

import (
	"net/http"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Router does the same as the routes that php_fastcgi expands to: it redirects a
// directory to its path with a slash, and selects a file with try_files. It is safe
// for concurrent use.
type Router struct {
	site  *Site
	index string // the index file; "" if routing is off
	// custom and rewriter are set if try_files is not the default: patterns work as
	// in Caddy, because Caddy's matcher interprets them.
	custom   *fileserver.MatchFile
	rewriter rewrite.Rewrite
	// redirects is true if directories are redirected to their path with a slash.
	redirects bool
	// recentScript is the script that was found last.
	recentScript atomic.Pointer[cachedScript]
}

// indexOff is the value of the index option that turns routing off.
const indexOff = "off"

// NewRouter returns the router of a site, which must be provisioned. The index
// defaults to index.php; "off" turns routing off. tryFiles is empty for the default,
// {path} {path}/<index> <index>. The error is that of Caddy's file matcher or
// rewriter.
func NewRouter(ctx caddy.Context, site *Site, index string, tryFiles []string) (*Router, error) {
	if index == "" {
		index = "index.php"
	}
	rt := &Router{site: site, index: index, redirects: true}
	if index == indexOff {
		rt.index, rt.redirects = "", false
		return rt, nil
	}
	if len(tryFiles) == 0 {
		return rt, nil
	}
	dirIndex := "{http.request.uri.path}/" + index
	rt.redirects = false
	for _, file := range tryFiles {
		rt.redirects = rt.redirects || file == dirIndex || file == "{path}/"+index
	}
	m := &fileserver.MatchFile{
		Root: "{http.vars." + rootVar + "}", TryFiles: tryFiles, SplitPath: site.SplitPath,
	}
	if strings.HasSuffix(tryFiles[len(tryFiles)-1], ".php") {
		m.TryPolicy = "first_exist_fallback"
	}
	if err := m.Provision(ctx); err != nil {
		return nil, err
	}
	rt.custom = m
	rt.rewriter = rewrite.Rewrite{URI: "{http.matchers.file.relative}"}
	return rt, rt.rewriter.Provision(ctx)
}

// Route changes the request's path to the file that serves it, and records that file
// in state. done is true if the response was written already, which is a redirect.
// The error is a [caddyhttp.HandlerError] if the root cannot be resolved, or that of
// Caddy's file matcher.
func (rt *Router) Route(w http.ResponseWriter, r *http.Request, state *State) (done bool, err error) {
	if rt.index == "" || strings.IndexByte(r.URL.Path, 0) >= 0 {
		return false, nil
	}
	root, err := rt.site.root(r, state)
	if err != nil {
		return false, statError(err)
	}
	if rt.custom != nil {
		return rt.routeCustom(w, r, state, root)
	}
	return rt.routeDefault(w, r, state, root), nil
}

// routeDefault is try_files {path} {path}/index.php index.php with the directory
// redirect. It calls stat as rarely as possible: once if the path names a file.
func (rt *Router) routeDefault(w http.ResponseWriter, r *http.Request, state *State, root string) (redirected bool) {
	clean := CleanPath(r.URL.Path)
	script, info := rt.site.splits.splitFile(clean)
	slash := strings.HasSuffix(script, "/")
	if !slash || script == "/" {
		switch kind, path := rt.stat(root, script); kind {
		case regular, special:
			rt.rewrite(r, state, match{root, script, path, info, kind})
			return false
		case directory:
			if index := rt.statIndex(root, clean); index.isFile() {
				if !strings.HasSuffix(r.URL.Path, "/") {
					redirectToSlash(w, r)
					return true
				}
				rt.rewrite(r, state, index)
				return false
			}
		case missing:
		}
	} else if index := rt.statIndex(root, clean); index.isFile() {
		rt.rewrite(r, state, index)
		return false
	}
	relative := "/" + rt.index
	kind, path := rt.stat(root, relative)
	rt.rewrite(r, state, match{root, relative, path, "", kind})
	return false
}

// cachedScript is a script that existed at a time. One entry is enough: most requests
// of most sites are for the same script.
type cachedScript struct {
	root, relative, absolute string

	checked time.Duration // since processStart
}

// scriptCacheTTL is how long a script is not checked again. PHP itself checks a
// script every 2 s only (opcache.revalidate_freq).
var scriptCacheTTL = 100 * time.Millisecond

// stat caches the function stat for the last script. If that script was removed in
// the meantime, PHP responds with 404 instead of trying the next file.
func (rt *Router) stat(root, relative string) (fileKind, string) {
	now := time.Since(processStart)
	if s := rt.recentScript.Load(); s != nil && now-s.checked < scriptCacheTTL && s.relative == relative && s.root == root {
		return regular, s.absolute
	}
	kind, absolute := stat(root, relative)
	if kind == regular && rt.site.splits.hasScriptExt(relative) {
		rt.recentScript.Store(&cachedScript{root, relative, absolute, now})
	}
	return kind, absolute
}

func (rt *Router) statIndex(root, dir string) match {
	relative := path.Join(dir, rt.index)
	kind, absolute := stat(root, relative)
	return match{root, relative, absolute, "", kind}
}

// rewrite sets the path of the request, and the placeholders of Caddy's file matcher
// for later handlers.
func (rt *Router) rewrite(r *http.Request, state *State, m match) {
	state.setMatch(m)
	if r.URL.Path == m.relative {
		return
	}
	r.URL.Path, r.URL.RawPath = m.relative, ""
	r.RequestURI = r.URL.RequestURI()
}

// routeCustom applies a try_files that is not the default with Caddy's file matcher.
func (rt *Router) routeCustom(w http.ResponseWriter, r *http.Request, state *State, root string) (redirected bool, err error) {
	if rt.redirects && !strings.HasSuffix(r.URL.Path, "/") {
		if index := rt.statIndex(root, CleanPath(r.URL.Path)); index.isFile() {
			redirectToSlash(w, r)
			return true, nil
		}
	}
	caddyhttp.SetVar(r.Context(), rootVar, root)
	matched, err := rt.custom.MatchWithError(r)
	if matched {
		rt.rewriter.Rewrite(r, state.Repl)
	}
	return false, err
}

// redirectToSlash redirects the client to the path with a slash. The Location is
// relative to the last segment, as in php_fastcgi: the raw path of a request such as
// /%2Fevil.com%2F..%2Fsub would redirect to another host.
func redirectToSlash(w http.ResponseWriter, r *http.Request) {
	u := OriginalURL(r)
	_, segment := path.Split(u.EscapedPath())
	location := "./" + segment + "/"
	if u.RawQuery != "" {
		location += "?" + u.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// CleanPath returns a path in the form that Caddy's matchers compare: without empty
// and dot segments, but with its trailing slash.
func CleanPath(p string) string {
	if p == "" {
		return "/"
	}
	return caddyhttp.NormalizedPath(p, true)
}

type fileKind uint8

const (
	missing fileKind = iota
	regular
	directory
	special // a pipe, a device
)

// stat returns the kind and the absolute path of a file below root. As in Caddy's
// file matcher, a file with any error is missing.
func stat(root, relative string) (fileKind, string) {
	absolute := join(root, relative)
	kind, _, err := statFile(absolute)
	if err != nil {
		return missing, absolute
	}
	return kind, absolute
}

// join is [caddyhttp.SanitizedPathJoin], with a shortcut for paths that are clean
// already.
func join(root, relative string) string {
	if runtime.GOOS != "windows" && len(root) > 1 && len(relative) > 1 && relative[0] == '/' && path.Clean(relative) == relative {
		return root + relative
	}
	return caddyhttp.SanitizedPathJoin(root, relative)
}
