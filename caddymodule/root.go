package caddymodule

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
func (b *Backend) root(r *http.Request, v *visit) (string, error) {
	// A request can meet more than one php_pool, with roots of their own: that
	// of an error route, for one.
	from := rootOf{b.rootPath(r, v.repl), b.resolvesRoot()}
	if v.root != "" && v.from == from {
		return v.root, nil
	}
	resolve := roots.resolve
	if !from.resolved {
		resolve = caddy.FastAbs
	}
	root, err := resolve(from.path)
	if err != nil {
		return "", fmt.Errorf("resolving the root %s: %w", from.path, err)
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

// links makes paths of directories absolute and follows their symlinks. What
// it has followed it knows as long as both paths lead to the same directory:
// one or two system calls instead of one for each component.
type links struct {
	known atomic.Pointer[map[string]*target] // never changed, only replaced

	// trust is how long a path without any symlink is taken to have none. A link
	// that moves is seen at once; that a directory has become a link, only after
	// so long: until then PHP is told the path with the link in it.
	trust time.Duration
}

// roots are those to all sites' roots.
var roots = links{trust: time.Second}

// target is where a path leads to.
type target struct {
	absolute, path string
	file           fileID
	looked         atomic.Int64 // when there last was no symlink, after programStart
}

var programStart = time.Now()

// maxLinks bounds what is known: a root can have placeholders that clients fill.
const maxLinks = 1000

func (l *links) resolve(dir string) (string, error) {
	known := l.known.Load()
	if known != nil {
		if to := (*known)[dir]; to != nil && to.holds(l.trust) {
			return to.path, nil
		}
	}
	to, err := follow(dir)
	if err != nil {
		return "", err
	}
	next := map[string]*target{}
	if known != nil && len(*known) < maxLinks {
		next = maps.Clone(*known)
	}
	next[dir] = to
	l.known.CompareAndSwap(known, &next) // who loses follows the links once more
	return to.path, nil
}

// follow finds out where a path leads to.
func follow(dir string) (*target, error) {
	absolute, err := caddy.FastAbs(dir)
	if err != nil {
		return nil, err
	}
	to := &target{absolute: absolute}
	to.looked.Store(int64(time.Since(programStart)))
	if _, to.file, err = look(absolute); err != nil {
		return nil, err
	}
	to.path, err = filepath.EvalSymlinks(absolute)
	return to, err
}

// holds reports whether it is still so.
func (to *target) holds(trust time.Duration) bool {
	if to.path != to.absolute {
		return to.leads(to.absolute) && to.leads(to.path)
	}
	now := time.Since(programStart)
	if now-time.Duration(to.looked.Load()) < trust {
		return true
	}
	// Not by leads: a directory that was renamed, with a link to it in its place,
	// is still the same.
	if path, err := filepath.EvalSymlinks(to.absolute); err != nil || path != to.path {
		return false
	}
	to.looked.Store(int64(now))
	return true
}

// leads reports whether a path leads to the directory.
func (to *target) leads(path string) bool {
	_, file, err := look(path)
	return err == nil && file == to.file && file != (fileID{})
}
