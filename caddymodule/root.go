package caddymodule

import (
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// rootVar is the request variable that has the root for Caddy's own matcher.
const rootVar = "php_pool.root"

// root is the directory that holds the site's scripts, absolute, with symlinks
// followed unless that was turned off. It is resolved once for a request, so
// that try_files, the check of the script, DOCUMENT_ROOT and SCRIPT_FILENAME
// never mix two releases while a deploy moves the symlink.
func (b *Backend) root(r *http.Request, repl *caddy.Replacer) (string, error) {
	root, err := caddy.FastAbs(repl.ReplaceAll(b.Root, "."))
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
		resolved, err := filepath.EvalSymlinks(root)
		if err != nil {
			return "", fmt.Errorf("resolving the root %s: %w", root, err)
		}
		root = resolved
	}
	v.from, v.root = from, root
	caddyhttp.SetVar(r.Context(), rootVar, root)
	return root, nil
}

// rootOf is what a resolved root was made of.
type rootOf struct {
	path     string
	resolved bool
}

func (b *Backend) resolvesRoot() bool {
	return b.ResolveRootSymlink == nil || *b.ResolveRootSymlink
}
