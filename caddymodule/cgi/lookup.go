package cgi

import (
	"net/http"
	"path"
	"runtime"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// roots are the directories of a site, absolute. They differ only if the option
// root names another directory than the site's root directive.
type roots struct {
	scripts string // where PHP finds its scripts
	files   string // where the next handler, usually file_server, finds all other files
}

func (r *roots) differ() bool { return r.scripts != r.files }

// roots returns the directories of the request's site. The error is a
// [caddyhttp.HandlerError] if the root of the scripts cannot be resolved.
func (site *Site) roots(r *http.Request, state *State) (roots, error) {
	scripts, err := site.root(r, state)
	if err != nil {
		return roots{}, statError(err)
	}
	if site.Root == defaultRoot {
		return roots{scripts, scripts}, nil
	}
	files, _ := caddyhttp.GetVar(r.Context(), "root").(string)
	if files == "" || files == state.rootSource.path {
		return roots{scripts, scripts}, nil
	}
	if files, err = caddy.FastAbs(files); err != nil {
		return roots{}, statError(err)
	}
	return roots{scripts, files}, nil
}

// lookUp returns the file that a clean path names: the first script in it that is not
// a directory, with the rest of the path as PATH_INFO, or the file at the path. Its
// kind is directory if it may be one. It calls stat once, unless a directory has the
// name of a script.
func (site *Site) lookUp(in roots, clean string) match {
	if m := site.lookUpScript(in, clean); m.relative != "" {
		return m
	}
	m := match{root: in.files, relative: clean, kind: directory}
	if clean == "/" || !strings.HasSuffix(clean, "/") {
		m.kind, m.absolute = stat(m.root, clean)
	}
	return m
}

// lookUpScript is lookUp for scripts only. The match is empty if no part of the path
// can be a script.
func (site *Site) lookUpScript(in roots, clean string) match {
	for end := site.splits.next(clean, 0); end > 0; end = site.splits.next(clean, end) {
		m := match{root: in.scripts, relative: clean[:end], info: clean[end:]}
		m.kind, m.absolute = stat(m.root, m.relative)
		if m.kind == directory && m.info != "" || m.kind == missing && m.info != "" && in.differ() {
			continue // the script is below it
		}
		return m
	}
	return match{}
}

// lookUpIn returns the file with a name in the directory that a clean path names.
func (site *Site) lookUpIn(in roots, dir, name string) match {
	m := match{root: in.files, relative: path.Join(dir, name)}
	if site.splits.hasScriptExt(name) {
		m.root = in.scripts
	}
	m.kind, m.absolute = stat(m.root, m.relative)
	return m
}

// match is a file that routing found.
type match struct {
	root, relative, absolute string

	info string // the rest of the request's path: PATH_INFO
	kind fileKind
}

func (m *match) isFile() bool { return m.kind == regular || m.kind == special }

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
	kind, err := statFile(absolute)
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

// CleanPath returns a path in the form that Caddy's matchers compare: without empty
// and dot segments, but with its trailing slash.
func CleanPath(p string) string {
	if p == "" {
		return "/"
	}
	return caddyhttp.NormalizedPath(p, true)
}
