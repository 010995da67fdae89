package caddymodule

import (
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// permissionError returns an error with status 403, and logs which permission is
// missing, if the workers' user cannot read a script that Caddy can see; otherwise
// nil. It runs after PHP has refused the script, not before: only the kernel knows
// whether PHP can open a file, because of ACLs for example.
func (b *Backend) permissionError(script string) error {
	missing := b.pool.MissingPermission(script)
	if missing == nil {
		// PHP may run as the same user as Caddy.
		if f, err := os.Open(script); err == nil {
			f.Close()
		} else if errors.Is(err, fs.ErrPermission) {
			missing = err
		}
	}
	if missing == nil || errors.Is(missing, fs.ErrNotExist) {
		return nil
	}
	b.logger.Error("PHP may not read the script", zap.String("pool", b.pool.Name),
		zap.String("script", script), zap.Error(missing))
	return caddyhttp.Error(http.StatusForbidden, missing)
}
