package listener

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
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
	if l.allowsAddr(addr) {
		return true
	}
	now := time.Now().UnixNano()
	if last := l.deniedLogged.Load(); now-last >= int64(deniedLogInterval) && l.deniedLogged.CompareAndSwap(last, now) {
		l.logger.Warn("connection closed because allow does not have its address",
			zap.String("fastcgi", l.Listen), zap.Stringer("address", addr))
	}
	return false
}

// deniedLogInterval is the minimum time between two log records of Allows: anybody can
// connect.
const deniedLogInterval = time.Second

func (l *Listener) allowsAddr(addr netip.Addr) bool {
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

// request is one request of a web server.
type request struct {
	l      *Listener
	in     *fastcgi.ServerRequest
	params params
	pool   pool.Request
	resp   *pool.Response // to be closed
	body   spool.Body
	stderr stderrLog
	found  time.Time // before the script was looked for

	refusal string    // Proxy-Status of the response
	status  int       // of a response that is not from PHP, for the access log
	start   time.Time // only with an access log
}

var requests = sync.Pool{New: func() any { return new(request) }}

// ServeFastCGI runs a request.
func (l *Listener) ServeFastCGI(r *fastcgi.ServerRequest) {
	x := requests.Get().(*request)
	x.l, x.in = l, r
	if l.access != nil {
		x.start = time.Now()
	}
	l.pool.Acquire()
	defer x.recover(r)
	if x.serve() {
		return // the script runs on
	}
	l.pool.Release()
	x.free()
}

// recover ends a request that has panicked, as net/http does, with its connection.
func (x *request) recover(in *fastcgi.ServerRequest) {
	err := recover()
	if err == nil {
		return
	}
	x.l.logger.Error("panic in a request", zap.String("pool", x.l.pool.Name), zap.Any("error", err), zap.Stack("stack"))
	in.Abort()
	if x.resp != nil {
		x.resp.Close()
	}
	x.l.pool.Release()
}

func (x *request) free() {
	x.stderr.flush(x)
	added, text := x.params.added[:0], x.stderr.text[:0]
	*x = request{}
	x.params.added, x.stderr.text = added, text
	requests.Put(x)
}

// requestBuffers is the size up to which a body is always kept in memory.
const requestBuffers = 64 << 10

// serve runs the request. It returns true if the script runs on after its response.
func (x *request) serve() (runsOn bool) {
	switch {
	case x.in.TooLarge():
		x.fail(http.StatusRequestHeaderFieldsTooLarge, errTooLarge)
		return false
	case !x.params.parse(x.in.Params()):
		x.fail(http.StatusBadRequest, errMalformed)
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

var (
	errTooLarge  = fmt.Errorf("the parameters of the request are larger than %d bytes", fastcgi.MaxParams)
	errMalformed = errors.New("the parameters of the request are malformed")
)

// prepare finds the script. It returns false if the request has been answered.
func (x *request) prepare() bool {
	p := &x.params
	if !p.has(requestMethod) {
		x.respond(http.StatusOK, "") // as php-fpm: this is not a request of HTTP
		return false
	}
	return !x.servePage() && x.checkValues() && x.findScript()
}

// readBody reads the body completely, so that its length is known.
func (x *request) readBody() error {
	some, err := x.in.HasBody()
	if some {
		length, _ := parseLength(x.params.get(contentLength))
		x.body, err = x.l.pool.Spool.Take(x.in, length, requestBuffers, 0)
	}
	return err
}

// setLength sets CONTENT_LENGTH to the length of the body that PHP gets. php-fpm reads
// no more than that, and where the web server did not know it, nothing.
func (x *request) setLength() {
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
func (x *request) info() pool.Info {
	p := &x.params
	info := pool.Info{
		Method: p.get(requestMethod), URI: p.get(requestURI), Query: p.get(queryString), User: p.get(remoteUser),
		ContentLength: x.body.Length, Script: p.get(scriptFilename),
	}
	if info.URI == "" {
		info.URI = p.get(scriptName)
	}
	info.URI, _, _ = strings.Cut(info.URI, "?")
	if x.l.pool.LimitsClients.Load() {
		info.Client = cgi.AddrKey(p.get(remoteAddr))
	}
	return info
}

// parseLength parses a CONTENT_LENGTH. It returns -1 and false if that is not a number.
func parseLength(text string) (int64, bool) {
	if text == "" {
		return -1, false // usual, and an error takes an allocation
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return -1, false
	}
	return int64(n), true
}
