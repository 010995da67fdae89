package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// rootVar is the request variable that keeps the root as it was resolved for
// this request, so that try_files, the check of the script, DOCUMENT_ROOT and
// SCRIPT_FILENAME never mix two releases while a deploy moves the symlink.
const rootVar = "php_pool.root"

// root is the directory that holds the site's scripts, absolute, with symlinks
// followed unless that was turned off.
func (b *Backend) root(r *http.Request, repl *caddy.Replacer) (string, error) {
	if root, ok := caddyhttp.GetVar(r.Context(), rootVar).(string); ok {
		return root, nil
	}
	root, err := caddy.FastAbs(repl.ReplaceAll(b.Root, "."))
	if err != nil {
		return "", fmt.Errorf("finding the root: %w", err)
	}
	if b.resolvesRoot() {
		resolved, err := filepath.EvalSymlinks(root)
		if err != nil {
			return "", fmt.Errorf("resolving the root %s: %w", root, err)
		}
		root = resolved
	}
	keepRoot(r.Context(), root)
	return root, nil
}

func keepRoot(ctx context.Context, root string) { caddyhttp.SetVar(ctx, rootVar, root) }

func (b *Backend) resolvesRoot() bool {
	return b.ResolveRootSymlink == nil || *b.ResolveRootSymlink
}
