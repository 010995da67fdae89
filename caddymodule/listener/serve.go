package listener

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Limits returns the limits of the connections.
func (l *Listener) Limits() fastcgi.Limits {
	return fastcgi.Limits{Connections: l.MaxConnections, Timeout: max(0, time.Duration(l.BodyTimeout))}
}

// Allows reports whether a web server at that address may send requests.
func (l *Listener) Allows(remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return true // a Unix socket has an owner and a mode
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if len(l.allow) == 0 {
		return addr.IsLoopback()
	}
	for _, prefix := range l.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// exchange is one request of a web server and its way through the pool.
type exchange struct {
	l      *Listener
	in     *fastcgi.ServerRequest
	params params
	pool   pool.Request
	body   spool.Body
	stderr []byte // for the log
	ran    bool   // stderr and pool may still be in use: see runOn
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// ServeFastCGI runs a request.
func (l *Listener) ServeFastCGI(r *fastcgi.ServerRequest) {
	x := exchanges.Get().(*exchange)
	x.l, x.in = l, r
	l.pool.Acquire()
	if x.serve() {
		return // the script runs on
	}
	l.pool.Release()
	x.free()
}

func (x *exchange) free() {
	added := x.params.added[:0]
	*x = exchange{stderr: x.stderr[:0]}
	x.params.added = added
	exchanges.Put(x)
}

// requestBuffers is the size up to which a body is always kept in memory.
const requestBuffers = 64 << 10

// serve runs the request. It returns true if the script runs on after its response.
func (x *exchange) serve() (runsOn bool) {
	if x.in.TooLarge() || !x.params.parse(x.in.Params()) {
		x.respond(http.StatusBadRequest, "Bad Request.\n")
		return false
	}
	if !x.prepare() {
		return false
	}
	if err := x.readBody(); err != nil {
		x.bodyFailed(err)
		return false
	}
	defer func() {
		if !runsOn {
			x.body.Free()
		}
	}()
	return x.run()
}

// prepare finds the script. It returns false if the request has been answered.
func (x *exchange) prepare() bool {
	p := &x.params
	if !p.has(requestMethod) {
		x.respond(http.StatusOK, "") // as php-fpm: this is not a request of HTTP
		return false
	}
	return x.findScript()
}

// readBody reads the body completely, so that its length is known.
func (x *exchange) readBody() error {
	some, err := x.in.HasBody()
	if some {
		length, _ := parseLength(x.params.get(contentLength))
		x.body, err = x.l.pool.Spool.Take(x.in, length, requestBuffers, 0)
	}
	return err
}

// run sends the request to PHP and its response to the web server.
func (x *exchange) run() (runsOn bool) {
	req := fastcgi.NewRequest()
	x.setLength()
	x.params.write(req)
	if x.body.Length > 0 {
		req.Body, req.ContentLength = x.body.ReadSeeker, x.body.Length
	}
	req.Raw, req.Stderr, req.SignalMark = true, x, poolcfg.SignalMark
	x.pool = pool.Request{FastCGI: req, Repeatable: isSafe(x.params.get(requestMethod)), Info: x.info()}
	x.in.Watch()
	resp, err := x.l.pool.Do(x.in.Context(), &x.pool)
	if err != nil {
		req.Free()
		x.failed(err)
		return false
	}
	body := resp.HTTP.Body.(*fastcgi.Body)
	if body.Fill(fastcgi.MaxFill) && !body.Running() {
		resp.Release()
	}
	err = x.copyBody(body)
	if body.Running() && err == nil {
		resp.Finish()
		x.in.End() //nolint:errcheck // the script runs on anyway
		x.in = nil
		go func() {
			resp.Close()
			req.Free()
			x.body.Free()
			x.l.pool.Release()
		}()
		return true
	}
	if err != nil || resp.TimedOut() {
		x.truncated(err)
	}
	resp.Close()
	req.Free()
	return false
}

// copyBody passes the response on.
func (x *exchange) copyBody(body *fastcgi.Body) error {
	for {
		p, err := body.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.in.WriteStdout(p); err != nil {
			return err
		}
		if body.Ready() {
			continue
		}
		if err := x.in.Flush(); err != nil {
			return err
		}
	}
}

// setLength sets CONTENT_LENGTH to the length of the body that PHP gets. php-fpm reads
// no more than that, and where the web server did not know it, nothing.
func (x *exchange) setLength() {
	p := &x.params
	n := x.body.Length
	if announced, ok := parseLength(p.get(contentLength)); ok && announced < n {
		n = announced
	}
	if n > 0 || p.get(contentLength) != "" {
		p.set(contentLength, strconv.FormatInt(n, 10))
	}
	x.body.Length = n
}

// info describes the request in logs and statistics.
func (x *exchange) info() pool.Info {
	p := &x.params
	info := pool.Info{
		Method: p.get(requestMethod), URI: p.get(requestURI), Query: p.get(queryString), User: p.get(remoteUser),
		ContentLength: x.body.Length, Script: p.get(scriptFilename),
	}
	if info.URI == "" {
		info.URI = p.get(scriptName)
	}
	info.URI = beforeQuery(info.URI)
	if x.l.pool.LimitsClients.Load() {
		if addr, err := netip.ParseAddr(p.get(remoteAddr)); err == nil {
			info.Client = clientKey(addr)
		}
	}
	return info
}

// parseLength parses a CONTENT_LENGTH. It returns -1 and false if that is not a number.
func parseLength(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return -1, false
	}
	return int64(n), true
}

// Write implements io.Writer for what scripts write to PHP's error log: it is the web
// server's to log. It never returns an error.
func (x *exchange) Write(p []byte) (int, error) {
	if x.in != nil {
		x.in.WriteStderr(p) //nolint:errcheck // the next write of the response fails too
	}
	return len(p), nil
}

// failed answers a request that got no response from PHP.
func (x *exchange) failed(err error) {
	if x.in.Context().Err() != nil {
		x.l.pool.ClientsClosed.Add(1)
		return
	}
	status := live.ErrorStatus(err)
	if status == http.StatusBadGateway {
		x.l.logger.Error("no response from PHP", zap.String("pool", x.l.pool.Name),
			zap.String("script", x.pool.Info.Script), zap.Error(err))
	}
	x.in.WriteStderr([]byte("php_pool: " + err.Error()))
	x.respond(status, http.StatusText(status)+".\n")
}
