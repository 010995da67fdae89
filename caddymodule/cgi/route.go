package cgi

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Router does the same as the routes that php_fastcgi expands to: it redirects a
// directory to its path with a slash, and selects a file with try_files. It remembers
// nothing, so each request is served by the files that exist when it arrives. It is
// safe for concurrent use.
type Router struct {
	site       *Site
	index      string // the index file; "" if routing is off
	candidates []candidate
	// fallback is true if the last candidate serves a request for which no file
	// exists, even if its own does not exist either.
	fallback bool
	// redirects is true if directories are redirected to their path with a slash.
	redirects bool
	rewriter  rewrite.Rewrite // to the file that Caddy's matcher found
}

// indexOff is the value of the index option that turns routing off.
const indexOff = "off"

// NewRouter returns the router of a site, which must be provisioned. The index
// defaults to index.php; "off" turns routing off. tryFiles is empty for the default,
// {path} {path}/<index> <index>. The error is that of Caddy's file matcher or
// rewriter.
func NewRouter(ctx caddy.Context, site *Site, index string, tryFiles []string) (*Router, error) {
	if index == indexOff {
		return &Router{site: site}, nil
	}
	if index == "" {
		index = "index.php"
	}
	rt := &Router{site: site, index: index}
	if len(tryFiles) == 0 {
		tryFiles = []string{"{path}", "{path}/" + index, index}
		rt.fallback = true
	} else {
		rt.fallback = strings.HasSuffix(tryFiles[len(tryFiles)-1], ".php")
	}
	rt.redirects = slices.Contains(tryFiles, "{path}/"+index) || slices.Contains(tryFiles, requestPath+"/"+index)
	var err error
	if rt.candidates, err = newCandidates(ctx, tryFiles, site.splits, rt.fallback); err != nil {
		return nil, err
	}
	rt.rewriter = rewrite.Rewrite{URI: "{http.matchers.file.relative}"}
	return rt, rt.rewriter.Provision(ctx)
}

// Route changes the request's path to the file that serves it, and records that file
// in state. done is true if the response was written already, which is a redirect.
// The error is a [caddyhttp.HandlerError] if the root cannot be resolved, or that of
// Caddy's file matcher.
func (rt *Router) Route(w http.ResponseWriter, r *http.Request, state *State) (done bool, err error) {
	state.match = match{}
	if rt.index == "" || strings.IndexByte(r.URL.Path, 0) >= 0 {
		return false, nil
	}
	in, err := rt.site.roots(r, state)
	if err != nil {
		return false, err
	}
	clean := CleanPath(r.URL.Path)
	named := rt.site.lookUp(in, clean)
	// PHP's directories may exist in the root of the scripts only.
	mayBeDir := named.kind == directory || in.differ() && !named.isFile()
	var index match
	if mayBeDir && rt.redirects {
		index = rt.site.lookUpIn(in, clean, rt.index)
		if index.isFile() && !strings.HasSuffix(clean, "/") {
			redirectToSlash(w, r)
			return true, nil
		}
	}
	for i := range rt.candidates {
		c := &rt.candidates[i]
		var m match
		switch {
		case c.kind == pattern:
			matched, err := rt.matchPattern(c, r, state, in)
			if matched || err != nil {
				return false, err
			}
			continue
		case c.kind == pathItself:
			m = named
		case c.kind == fixedFile:
			m = rt.site.lookUpIn(in, "/", c.name)
		case mayBeDir && c.name == rt.index:
			m = index
		case mayBeDir:
			m = rt.site.lookUpIn(in, clean, c.name)
		}
		if m.isFile() || c.kind == fixedFile && rt.fallback && i == len(rt.candidates)-1 {
			rt.rewrite(r, state, m)
			return false, nil
		}
	}
	return false, nil
}

// rewrite sets the path of the request, and the placeholders of Caddy's file matcher
// for later handlers.
func (rt *Router) rewrite(r *http.Request, state *State, m match) {
	state.setMatch(m)
	if r.URL.Path == m.relative && r.URL.RawPath == "" {
		return
	}
	r.URL.Path, r.URL.RawPath = m.relative, ""
	r.RequestURI = r.URL.RequestURI()
}

// matchPattern applies a candidate that only Caddy's file matcher understands. If the
// roots differ, it looks for scripts in one and for other files in the other.
func (rt *Router) matchPattern(c *candidate, r *http.Request, state *State, in roots) (matched bool, err error) {
	for i, root := range []string{in.scripts, in.files} {
		if i > 0 && !in.differ() {
			break
		}
		caddyhttp.SetVar(r.Context(), rootVar, root)
		if matched, err = c.matcher.MatchWithError(r); err != nil {
			return false, err
		}
		relative, _ := state.Repl.GetString("http.matchers.file.relative")
		if !matched || in.differ() && rt.site.IsScript(relative) != (i == 0) {
			continue
		}
		rt.rewriter.Rewrite(r, state.Repl)
		m := match{root: root, relative: relative}
		m.absolute, _ = state.Repl.GetString("http.matchers.file.absolute")
		m.info, _ = state.Repl.GetString("http.matchers.file.remainder")
		state.match = m
		return true, nil
	}
	return false, nil
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
