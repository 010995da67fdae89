package listener

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// respond answers without PHP, in the form of php-fpm's own pages.
func (x *exchange) respond(status int, text string) {
	var head strings.Builder
	if status != http.StatusOK {
		head.WriteString("Status: " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	}
	if status == http.StatusServiceUnavailable {
		head.WriteString("Retry-After: 5\r\n")
	}
	head.WriteString("Content-type: text/html; charset=UTF-8\r\n\r\n")
	x.in.WriteStdout([]byte(head.String() + text)) //nolint:errcheck // End returns it again
	x.in.End()                                     //nolint:errcheck // then the connection is closed
}

// bodyFailed answers a request whose body could not be read.
func (x *exchange) bodyFailed(err error) {
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
	x.respond(status, http.StatusText(status)+".\n")
}

// truncated ends a request whose response is incomplete: the web server sees the end of
// the connection, as if php-fpm had lost its worker.
func (x *exchange) truncated(err error) {
	x.in.Abort()
	if x.in.Context().Err() != nil {
		x.l.pool.ClientsClosed.Add(1)
		return
	}
	if err == nil {
		err = fastcgi.ErrReadTimeout
	}
	x.l.logger.Error("response from PHP truncated", zap.String("pool", x.l.pool.Name),
		zap.String("uri", x.pool.Info.URI), zap.Error(err))
}

// isSafe reports whether the method is safe (RFC 9110 section 9.2.1), so that the
// request may be sent twice.
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// clientKey returns the client that a request counts for under max_per_client: its
// address, or the /64 of an IPv6 address, because one host can use all of that.
func clientKey(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(64) // never fails for an IPv6 address
	return network.Addr()
}

// beforeQuery returns a URI without its query.
func beforeQuery(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path
}
