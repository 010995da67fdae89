package cgi

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
)

// WorkerScript returns the script of a worker that handles the request because its path
// matches. The script may be outside of the root; SCRIPT_NAME is empty then, as in
// FrankenPHP. The error is a [caddyhttp.HandlerError].
func (site *Site) WorkerScript(r *http.Request, state *State, file string) (Script, error) {
	if strings.IndexByte(r.URL.Path, 0) >= 0 {
		return Script{}, caddyhttp.Error(http.StatusBadRequest, errors.New("the request path contains a NUL byte"))
	}
	root, err := site.root(r, state)
	if err != nil {
		return Script{}, statError(err)
	}
	if rel := release.From(r.Context()); rel != nil {
		file = rel.Root(file)
	}
	dir, err := rootCache.resolve(filepath.Dir(file))
	if err != nil {
		return Script{}, statError(err)
	}
	s := Script{Filename: filepath.Join(dir, filepath.Base(file)), root: root}
	if relative, err := filepath.Rel(root, s.Filename); err == nil && filepath.IsLocal(relative) {
		s.name = "/" + filepath.ToSlash(relative)
		s.uri = s.name
	}
	return s, nil
}

// SameScript reports whether two absolute paths are those of the same script, because
// symlinks in the paths of their directories lead to the same one.
func SameScript(a, b string) bool {
	if a == b {
		return true
	}
	if filepath.Base(a) != filepath.Base(b) {
		return false
	}
	dirA, err1 := rootCache.resolve(filepath.Dir(a))
	dirB, err2 := rootCache.resolve(filepath.Dir(b))
	return err1 == nil && err2 == nil && dirA == dirB
}

// SameInRoot is SameScript for the script of a request and a file that is configured. It
// follows the symlinks in the root as they were when the root of the request was resolved: a
// deployment may have switched them since.
func (s *State) SameInRoot(file, script string) bool {
	below, ok := strings.CutPrefix(file, s.rootSource.path)
	if ok && s.root != "" {
		if own, ok := strings.CutPrefix(script, s.root); ok && own == below {
			return true
		}
	}
	return SameScript(file, script)
}

// RouteToFile reports whether the path of the request names a file of the site that is
// not a script, and records it in state.
func (site *Site) RouteToFile(r *http.Request, state *State) (bool, error) {
	state.match = match{}
	clean := CleanPath(r.URL.Path)
	if site.IsScript(clean) || strings.IndexByte(clean, 0) >= 0 {
		return false, nil
	}
	in, err := site.roots(r, state)
	if err != nil {
		return false, err
	}
	m := site.lookUp(in, clean)
	if m.kind != regular || site.IsScript(m.relative) {
		return false, nil
	}
	state.setMatch(m)
	return true, nil
}
