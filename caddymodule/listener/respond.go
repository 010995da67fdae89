package listener

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// fail answers a request that cannot be run. The web server logs the reason.
func (x *request) fail(status int, err error) {
	x.in.WriteStderr([]byte("php_pool: " + err.Error())) //nolint:errcheck // End returns it
	x.refusal = live.ProxyStatus(err)
	x.respond(status, http.StatusText(status)+".\n")
}

// failed answers a request that got no response from PHP.
func (x *request) failed(err error) {
	if x.in.Context().Err() != nil {
		x.l.pool.ClientsClosed.Add(1)
		return
	}
	status := live.ErrorStatus(err)
	if status == http.StatusBadGateway {
		x.l.logger.Error("no response from PHP", zap.String("pool", x.l.pool.Name),
			zap.String("script", x.pool.Info.Script), zap.Error(err))
	}
	x.stderr.failed = true
	x.fail(status, err)
}

// bodyFailed answers a request whose body could not be read.
func (x *request) bodyFailed(err error) {
	file, isFile := errors.AsType[*spool.FileError](err)
	_, tooLarge := errors.AsType[*spool.TooLargeError](err)
	status := http.StatusInternalServerError
	switch {
	case isFile && file.DiskFull, tooLarge:
		status = http.StatusInsufficientStorage
	case !isFile: // the web server has given the request up
		x.l.pool.ClientsClosed.Add(1)
		x.in.Abort()
		return
	}
	x.l.logger.Error("request body could not be kept", zap.String("pool", x.l.pool.Name), zap.Error(err))
	x.fail(status, err)
}

// truncated ends a request whose response is incomplete: the web server sees the end of
// the connection, as if php-fpm had lost its worker.
func (x *request) truncated(err error) {
	x.in.Abort()
	if x.in.Context().Err() != nil {
		x.l.pool.ClientsClosed.Add(1)
		return
	}
	if err == nil {
		err = pool.ErrRequestTimeout
	}
	x.l.logger.Error("response from PHP truncated", zap.String("pool", x.l.pool.Name),
		zap.String("uri", x.pool.Info.URI), zap.Error(err))
}
