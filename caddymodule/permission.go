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

// permissionError recognizes PHP's answer to a script that Caddy can see and the
// workers' user cannot: 403, with a log line that says what is missing where.
// Whether PHP can open it is for the system to say, ACLs included, so PHP is
// asked and not foretold. What had to be read of another answer is kept in
// a.prefix.
func (b *Backend) permissionError(a *response) error {
	status := a.HTTP.StatusCode
	if status != http.StatusForbidden && status != http.StatusNotFound || !a.body.Fill(fastcgi.MaxFill) {
		return nil
	}
	n := a.HTTP.ContentLength
	if n != int64(len(phpbin.AccessDenied)) && n != int64(len(phpbin.NoInputFile)) {
		return nil
	}
	var err error
	a.prefix, err = io.ReadAll(a.body)
	if text := string(a.prefix); err != nil || text != phpbin.AccessDenied && text != phpbin.NoInputFile {
		return nil
	}
	why := b.pool.MissingPermission(a.stderr.script)
	if why == nil || errors.Is(why, fs.ErrNotExist) {
		return nil // PHP is right: it was there a moment ago
	}
	b.logger.Error("PHP may not read the script", zap.String("pool", b.pool.Name),
		zap.String("script", a.stderr.script), zap.Error(why))
	return caddyhttp.Error(http.StatusForbidden, why)
}
