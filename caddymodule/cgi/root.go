package cgi

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// siteRoot is the root of a handler that says nothing else: what the root
	// directive has set.
	siteRoot = "{http.vars.root}"

	// rootVar is the request variable that has the root for Caddy's own matcher.
	rootVar = "php_pool.root"
)

// root is the directory that holds the site's scripts, absolute, with symlinks
// followed unless that was turned off. It is resolved once for a request, so
// that try_files, the check of the script, DOCUMENT_ROOT and SCRIPT_FILENAME
// never mix two releases while a deploy moves the symlink.
func (s *Site) root(r *http.Request, v *State) (string, error) {
	// A request can meet more than one php_pool, with roots of their own: that
	// of an error route, for one.
	from := rootSource{s.rootPath(r, v.Repl), s.ResolveRootSymlink}
	if v.root != "" && v.rootSource == from {
		return v.root, nil
	}
	resolve := rootCache.resolve
	if !from.resolved {
		resolve = caddy.FastAbs
	}
	root, err := resolve(from.path)
	if err != nil {
		return "", fmt.Errorf("resolving the root %s: %w", from.path, err)
	}
	v.rootSource, v.root = from, root
	return root, nil
}

// rootPath is the root as the config has it. Reading the variable, whose
// placeholders were replaced when it was set, spares replacing it.
func (s *Site) rootPath(r *http.Request, repl *caddy.Replacer) string {
	if s.Root == siteRoot {
		if root, ok := caddyhttp.GetVar(r.Context(), "root").(string); ok && root != "" {
			return root
		}
	}
	return repl.ReplaceAll(s.Root, ".")
}

// rootSource is what a resolved root was made of.
type rootSource struct {
	path     string
	resolved bool
}

// symlinkCache makes paths of directories absolute and follows their symlinks. What
// it has followed it knows as long as both paths lead to the same directory:
// one or two system calls instead of one for each component.
type symlinkCache struct {
	entries atomic.Pointer[map[string]*symlinkTarget] // never changed, only replaced

	// ttl is how long a path without any symlink is taken to have none. A link
	// that moves is seen at once; that a directory has become a link, only after
	// so long: until then PHP is told the path with the link in it.
	ttl time.Duration
}

// rootCache are those to all sites' roots.
var rootCache = symlinkCache{ttl: time.Second}

// symlinkTarget is where a path leads to.
type symlinkTarget struct {
	absolute, path string
	file           fileID
	checked        atomic.Int64 // when there last was no symlink, after processStart
}

var processStart = time.Now()

// maxCachedRoots bounds what is known: a root can have placeholders that clients fill.
const maxCachedRoots = 1000

func (l *symlinkCache) resolve(dir string) (string, error) {
	known := l.entries.Load()
	if known != nil {
		if to := (*known)[dir]; to != nil && to.valid(l.ttl) {
			return to.path, nil
		}
	}
	to, err := resolveSymlinks(dir)
	if err != nil {
		return "", err
	}
	next := map[string]*symlinkTarget{}
	if known != nil && len(*known) < maxCachedRoots {
		next = maps.Clone(*known)
	}
	next[dir] = to
	l.entries.CompareAndSwap(known, &next) // who loses follows the links once more
	return to.path, nil
}

// resolveSymlinks finds out where a path leads to.
func resolveSymlinks(dir string) (*symlinkTarget, error) {
	absolute, err := caddy.FastAbs(dir)
	if err != nil {
		return nil, err
	}
	to := &symlinkTarget{absolute: absolute}
	to.checked.Store(int64(time.Since(processStart)))
	if _, to.file, err = statFile(absolute); err != nil {
		return nil, err
	}
	to.path, err = filepath.EvalSymlinks(absolute)
	return to, err
}

// valid reports whether it is still so.
func (to *symlinkTarget) valid(trust time.Duration) bool {
	if to.path != to.absolute {
		return to.sameDir(to.absolute) && to.sameDir(to.path)
	}
	now := time.Since(processStart)
	if now-time.Duration(to.checked.Load()) < trust {
		return true
	}
	// Not by leads: a directory that was renamed, with a link to it in its place,
	// is still the same.
	if path, err := filepath.EvalSymlinks(to.absolute); err != nil || path != to.path {
		return false
	}
	to.checked.Store(int64(now))
	return true
}

// sameDir reports whether a path leads to the directory.
func (to *symlinkTarget) sameDir(path string) bool {
	_, file, err := statFile(path)
	return err == nil && file == to.file && file != (fileID{})
}
