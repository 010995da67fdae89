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

// Router does what the routes do that php_fastcgi expands to: it adds the
// slash to a directory's path, and picks the file by try_files.
type Router struct {
	site  *Site
	index string // the index file; "" when routing is off
	// custom is set when try_files is not the default: Caddy's own matcher and
	// rewriter, so that the patterns mean just what they mean there.
	custom   *fileserver.MatchFile
	rewriter rewrite.Rewrite
	// redirects: whether directories get their slash.
	redirects bool
	// last is the script that was found last.
	last atomic.Pointer[cachedScript]
}

// indexOff is the value of the index option that turns routing off.
const indexOff = "off"

// NewRouter prepares routing; tryFiles is nil for the default.
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

// Route changes the request's path to the file that answers it. It reports
// whether it has answered the request already, by a redirect.
func (rt *Router) Route(w http.ResponseWriter, r *http.Request, v *State) (done bool, err error) {
	if rt.index == "" || strings.IndexByte(r.URL.Path, 0) >= 0 {
		return false, nil
	}
	root, err := rt.site.root(r, v)
	if err != nil {
		return false, statError(err)
	}
	if rt.custom != nil {
		return rt.routeCustom(w, r, v, root)
	}
	return rt.routeDefault(w, r, v, root), nil
}

// routeDefault is try_files {path} {path}/index.php index.php with the
// directory redirect, in as few stats as it takes: a regular file is one.
func (rt *Router) routeDefault(w http.ResponseWriter, r *http.Request, v *State, root string) bool {
	clean := CleanPath(r.URL.Path)
	script, info := rt.site.splits.splitFile(clean)
	slash := strings.HasSuffix(script, "/")
	if !slash || script == "/" {
		switch kind, path := rt.stat(root, script); kind {
		case file, special:
			rt.rewrite(r, v, match{root, script, path, info, kind})
			return false
		case directory:
			if index := rt.statIndex(root, clean); index.isFile() {
				if !strings.HasSuffix(r.URL.Path, "/") {
					redirectToSlash(w, r)
					return true
				}
				rt.rewrite(r, v, index)
				return false
			}
		case nothing:
		}
	} else if index := rt.statIndex(root, clean); index.isFile() {
		rt.rewrite(r, v, index)
		return false
	}
	relative := "/" + rt.index
	kind, path := rt.stat(root, relative)
	rt.rewrite(r, v, match{root, relative, path, "", kind})
	return false
}

// cachedScript is a script that was there at that moment after processStart. Most
// sites are asked for one more than for all others.
type cachedScript struct {
	root, relative, absolute string

	at time.Duration
}

// scriptCacheTTL is how long a script is taken to be there still. PHP itself looks
// again after 2 s (opcache.revalidate_freq).
var scriptCacheTTL = 100 * time.Millisecond

// stat is the function stat, but for a script that was there a moment ago: in
// the worst case PHP, and not try_files, says that it is not there any more.
func (rt *Router) stat(root, relative string) (kind, string) {
	now := time.Since(processStart)
	if s := rt.last.Load(); s != nil && now-s.at < scriptCacheTTL && s.relative == relative && s.root == root {
		return file, s.absolute
	}
	kind, absolute := stat(root, relative)
	if kind == file && rt.site.splits.hasScriptExt(relative) {
		rt.last.Store(&cachedScript{root, relative, absolute, now})
	}
	return kind, absolute
}

func (rt *Router) statIndex(root, dir string) match {
	relative := path.Join(dir, rt.index)
	kind, absolute := stat(root, relative)
	return match{root, relative, absolute, "", kind}
}

// rewrite sets the path of the request, and the placeholders of Caddy's file
// matcher for whoever comes after us.
func (rt *Router) rewrite(r *http.Request, v *State, f match) {
	v.setMatch(f)
	if r.URL.Path == f.relative {
		return
	}
	r.URL.Path, r.URL.RawPath = f.relative, ""
	r.RequestURI = r.URL.RequestURI()
}

// routeCustom leaves try_files to Caddy.
func (rt *Router) routeCustom(w http.ResponseWriter, r *http.Request, v *State, root string) (bool, error) {
	if rt.redirects && !strings.HasSuffix(r.URL.Path, "/") {
		if index := rt.statIndex(root, CleanPath(r.URL.Path)); index.isFile() {
			redirectToSlash(w, r)
			return true, nil
		}
	}
	caddyhttp.SetVar(r.Context(), rootVar, root)
	matched, err := rt.custom.MatchWithError(r)
	if matched {
		rt.rewriter.Rewrite(r, v.Repl)
	}
	return false, err
}

// redirectToSlash sends the client to the path with a slash. The Location is
// relative to the last segment, as in php_fastcgi: the raw path of a request
// such as /%2Fevil.com%2F..%2Fsub would lead to another host.
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

// CleanPath is the path as the matchers judge it, trailing slash kept.
func CleanPath(p string) string {
	if p == "" {
		return "/"
	}
	return caddyhttp.NormalizedPath(p, true)
}

type kind uint8

const (
	nothing kind = iota
	file
	directory
	special // a pipe, a device
)

// stat looks at a path below root. Like Caddy's file matcher it takes every
// error for "not there".
func stat(root, relative string) (kind, string) {
	absolute := join(root, relative)
	kind, _, err := statFile(absolute)
	if err != nil {
		return nothing, absolute
	}
	return kind, absolute
}

// join is SanitizedPathJoin, which a root and a path that are clean need not
// pass through.
func join(root, relative string) string {
	if runtime.GOOS != "windows" && len(root) > 1 && len(relative) > 1 && relative[0] == '/' && path.Clean(relative) == relative {
		return root + relative
	}
	return caddyhttp.SanitizedPathJoin(root, relative)
}
