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
	// defaultRoot is the directory that the root directive has set.
	defaultRoot = "{http.vars.root}"

	// rootVar is the request variable that passes the root to Caddy's file matcher.
	rootVar = "php_pool.root"
)

// root returns the site's root directory: absolute, with symlinks resolved if
// ResolveRootSymlink is true. It is resolved once per request, so that try_files,
// the check of the script, DOCUMENT_ROOT and SCRIPT_FILENAME never mix two releases
// while a deployment moves the symlink.
func (site *Site) root(r *http.Request, state *State) (string, error) {
	// A request can pass several php_pool handlers with different roots, such as
	// the handler of an error route.
	source := rootSource{site.rootPath(r, state.Repl), site.ResolveRootSymlink}
	if state.root != "" && state.rootSource == source {
		return state.root, nil
	}
	resolve := rootCache.resolve
	if !source.resolveSymlink {
		resolve = caddy.FastAbs
	}
	root, err := resolve(source.path)
	if err != nil {
		return "", fmt.Errorf("resolving the root %s: %w", source.path, err)
	}
	state.rootSource, state.root = source, root
	return root, nil
}

// rootPath returns the root with placeholders replaced. The variable of the root
// directive is read directly, because its placeholders were replaced when it was set.
func (site *Site) rootPath(r *http.Request, repl *caddy.Replacer) string {
	if site.Root == defaultRoot {
		if root, ok := caddyhttp.GetVar(r.Context(), "root").(string); ok && root != "" {
			return root
		}
	}
	return repl.ReplaceAll(site.Root, ".")
}

// rootSource is the input that a resolved root depends on.
type rootSource struct {
	path           string
	resolveSymlink bool
}

// symlinkCache resolves paths of directories to absolute paths without symlinks. An
// entry is valid while both paths lead to the same directory. Checking that takes
// one or two system calls instead of one per component of the path.
type symlinkCache struct {
	entries atomic.Pointer[map[string]*symlinkTarget] // copy on write

	// ttl is how long a path without symlinks is not checked again. A symlink that
	// moves is noticed immediately, a directory that was replaced by a symlink only
	// after ttl; until then PHP gets the path with the symlink.
	ttl time.Duration
}

// rootCache holds the roots of all sites.
var rootCache = symlinkCache{ttl: time.Second}

// symlinkTarget is an entry of the cache: an absolute path and the path it resolves
// to.
type symlinkTarget struct {
	absolute, path string
	file           fileID
	checked        atomic.Int64 // last check that absolute has no symlink; nanoseconds since processStart
}

var processStart = time.Now()

// maxCachedRoots limits the cache: a root may have placeholders that clients control.
const maxCachedRoots = 1000

func (c *symlinkCache) resolve(dir string) (string, error) {
	entries := c.entries.Load()
	if entries != nil {
		if target := (*entries)[dir]; target != nil && target.valid(c.ttl) {
			return target.path, nil
		}
	}
	target, err := resolveSymlinks(dir)
	if err != nil {
		return "", err
	}
	next := map[string]*symlinkTarget{}
	if entries != nil && len(*entries) < maxCachedRoots {
		next = maps.Clone(*entries)
	}
	next[dir] = target
	c.entries.CompareAndSwap(entries, &next) // if another request was faster, this entry is added next time
	return target.path, nil
}

func resolveSymlinks(dir string) (*symlinkTarget, error) {
	absolute, err := caddy.FastAbs(dir)
	if err != nil {
		return nil, err
	}
	t := &symlinkTarget{absolute: absolute}
	t.checked.Store(int64(time.Since(processStart)))
	if _, t.file, err = statFile(absolute); err != nil {
		return nil, err
	}
	t.path, err = filepath.EvalSymlinks(absolute)
	return t, err
}

// valid reports whether absolute still resolves to path.
func (t *symlinkTarget) valid(ttl time.Duration) bool {
	if t.path != t.absolute {
		return t.sameDir(t.absolute) && t.sameDir(t.path)
	}
	now := time.Since(processStart)
	if now-time.Duration(t.checked.Load()) < ttl {
		return true
	}
	// sameDir is not enough here: if the directory was renamed and replaced by a
	// symlink to its new name, it is still the same directory.
	if path, err := filepath.EvalSymlinks(t.absolute); err != nil || path != t.path {
		return false
	}
	t.checked.Store(int64(now))
	return true
}

// sameDir reports whether a path leads to the cached directory.
func (t *symlinkTarget) sameDir(path string) bool {
	_, id, err := statFile(path)
	return err == nil && id == t.file && id != (fileID{})
}
