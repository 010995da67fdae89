package caddymodule

import (
	"errors"
	"io"
	"io/fs"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// permissionError recognizes PHP's response for a script that Caddy can see and the
// workers' user cannot read. It logs which permission is missing, and returns an
// error with status 403; for any other response it returns nil, and keeps what it
// has read of the body in resp.prefix. It runs after PHP, not before: only the
// kernel knows whether PHP can open a file, because of ACLs for example.
func (b *Backend) permissionError(resp *response) error {
	status := resp.HTTP.StatusCode
	if status != http.StatusForbidden && status != http.StatusNotFound || !resp.body.Fill(fastcgi.MaxFill) {
		return nil
	}
	n := resp.HTTP.ContentLength
	if n != int64(len(phpbin.AccessDenied)) && n != int64(len(phpbin.NoInputFile)) {
		return nil
	}
	var err error
	resp.prefix, err = io.ReadAll(resp.body)
	if text := string(resp.prefix); err != nil || text != phpbin.AccessDenied && text != phpbin.NoInputFile {
		return nil
	}
	missing := b.pool.MissingPermission(resp.stderr.script)
	if missing == nil || errors.Is(missing, fs.ErrNotExist) {
		return nil // PHP is right: the script was deleted after Caddy had found it
	}
	b.logger.Error("PHP may not read the script", zap.String("pool", b.pool.Name),
		zap.String("script", resp.stderr.script), zap.Error(missing))
	return caddyhttp.Error(http.StatusForbidden, missing)
}
