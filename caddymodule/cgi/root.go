package cgi

import (
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
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
	rel := release.From(r.Context())
	if rel != nil {
		// Handlers after this one, such as file_server, look there too.
		if files, ok := caddyhttp.GetVar(r.Context(), "root").(string); ok && files != "" {
			caddyhttp.SetVar(r.Context(), "root", rel.Root(files))
		}
	}
	source := rootSource{site.RootPath(r, state.Repl), site.ResolveRootSymlink}
	if rel != nil {
		source.path = rel.Root(source.path)
	}
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

// RootPath returns the root with placeholders replaced. The variable of the root
// directive is read directly, because its placeholders were replaced when it was set.
func (site *Site) RootPath(r *http.Request, repl *caddy.Replacer) string {
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

// rootCache holds the roots of all sites.
var rootCache symlinkCache

// symlinkCache resolves paths of directories to absolute paths without symlinks. An
// entry is used only if looking at the directory again would give the same path, and
// checking that takes fewer system calls than resolving it.
type symlinkCache struct {
	entries atomic.Pointer[map[string]*resolvedPath] // copy on write
}

// maxCachedRoots limits the cache: a root may have placeholders that clients control.
const maxCachedRoots = 1000

func (c *symlinkCache) resolve(dir string) (string, error) {
	entries := c.entries.Load()
	if entries != nil {
		if p := (*entries)[dir]; p != nil && p.valid() {
			return p.path, nil
		}
	}
	absolute, err := caddy.FastAbs(dir)
	if err != nil {
		return "", err
	}
	resolved, err := resolveSymlinks(absolute)
	if err != nil {
		return "", err
	}
	next := map[string]*resolvedPath{}
	if entries != nil && len(*entries) < maxCachedRoots {
		next = maps.Clone(*entries)
	}
	next[dir] = resolved
	c.entries.CompareAndSwap(entries, &next) // if another request was faster, this entry is added next time
	return resolved.path, nil
}

// resolvedPath is a path without symlinks, and what it depends on.
type resolvedPath struct {
	path string
	// links are the symlinks on the way, in the order in which they were followed.
	links []symlink
	// dirs are paths that must still be directories without a symlink among their
	// components: path, and the directory of each link that is not above path.
	dirs []string
}

type symlink struct{ path, target string }
