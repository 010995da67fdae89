package caddymodule

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"sync/atomic"

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
func (b *Backend) root(r *http.Request, repl *caddy.Replacer) (string, error) {
	root, err := caddy.FastAbs(b.rootPath(r, repl))
	if err != nil {
		return "", fmt.Errorf("finding the root: %w", err)
	}
	// A request can meet more than one php_pool, with roots of their own: that
	// of an error route, for one.
	from := rootOf{root, b.resolvesRoot()}
	v := visitOf(r, repl)
	if v.root != "" && v.from == from {
		return v.root, nil
	}
	if from.resolved {
		if root, err = roots.resolve(root); err != nil {
			return "", fmt.Errorf("resolving the root %s: %w", from.path, err)
		}
	}
	v.from, v.root = from, root
	return root, nil
}

// rootPath is the root as the config has it. Reading the variable, whose
// placeholders were replaced when it was set, spares replacing it.
func (b *Backend) rootPath(r *http.Request, repl *caddy.Replacer) string {
	if b.Root == siteRoot {
		if root, ok := caddyhttp.GetVar(r.Context(), "root").(string); ok && root != "" {
			return root
		}
	}
	return repl.ReplaceAll(b.Root, ".")
}

// rootOf is what a resolved root was made of.
type rootOf struct {
	path     string
	resolved bool
}

func (b *Backend) resolvesRoot() bool {
	return b.ResolveRootSymlink == nil || *b.ResolveRootSymlink
}

// links follows symlinks to directories. What it has followed it knows as long
// as both paths lead to the same directory: one or two system calls instead of
// one for each component.
type links struct {
	known atomic.Pointer[map[string]target] // never changed, only replaced
}

// roots are those to all sites' roots.
var roots links

// target is where a path leads to.
type target struct {
	path string
	file fileID
}

// maxLinks bounds what is known: a root can have placeholders that clients fill.
const maxLinks = 1000

func (l *links) resolve(dir string) (string, error) {
	_, file, err := look(dir)
	if err != nil {
		return "", err
	}
	known := l.known.Load()
	if known != nil {
		if to, ok := (*known)[dir]; ok && to.file == file && file != (fileID{}) && l.leads(dir, to) {
			return to.path, nil
		}
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	next := map[string]target{}
	if known != nil && len(*known) < maxLinks {
		next = maps.Clone(*known)
	}
	next[dir] = target{path, file}
	l.known.CompareAndSwap(known, &next) // who loses follows the links once more
	return path, nil
}

// leads reports whether what dir was resolved to is still the same directory.
func (*links) leads(dir string, to target) bool {
	if to.path == dir {
		return true
	}
	_, file, err := look(to.path)
	return err == nil && file == to.file
}
