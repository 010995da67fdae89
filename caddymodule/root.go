package caddymodule

import (
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// rootVar is the request variable that keeps the root as it was resolved for
// this request, so that try_files, the check of the script, DOCUMENT_ROOT and
// SCRIPT_FILENAME never mix two releases while a deploy moves the symlink.
const (
	rootVar     = "php_pool.root"
	rootFromVar = "php_pool.root_from"
)

// root is the directory that holds the site's scripts, absolute, with symlinks
// followed unless that was turned off.
func (b *Backend) root(r *http.Request, repl *caddy.Replacer) (string, error) {
	root, err := caddy.FastAbs(repl.ReplaceAll(b.Root, "."))
	if err != nil {
		return "", fmt.Errorf("finding the root: %w", err)
	}
	// A request can meet more than one php_pool, with roots of their own: that
	// of an error route, for one.
	from := rootOf{root, b.resolvesRoot()}
	if known, ok := caddyhttp.GetVar(r.Context(), rootFromVar).(rootOf); ok && known == from {
		if root, ok := caddyhttp.GetVar(r.Context(), rootVar).(string); ok {
			return root, nil
		}
	}
	if from.resolved {
		resolved, err := filepath.EvalSymlinks(root)
		if err != nil {
			return "", fmt.Errorf("resolving the root %s: %w", root, err)
		}
		root = resolved
	}
	caddyhttp.SetVar(r.Context(), rootFromVar, from)
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
