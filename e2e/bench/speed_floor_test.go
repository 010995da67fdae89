//go:build linux && bench

package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// floorEnv makes the test binary a server: net/http or Caddy, a port, a socket of php-cgi,
// and the site, separated by spaces.
const floorEnv = "PHP_POOL_BENCH_FLOOR"

func init() {
	if text := os.Getenv(floorEnv); text != "" {
		f := &floor{conns: make(chan *floorConn, speedWorkers)}
		var server string
		var port int
		_, err := fmt.Sscan(text, &server, &port, &f.php.socket, &f.php.site)
		for range speedWorkers {
			f.conns <- &floorConn{socket: f.php.socket, buf: make([]byte, 256<<10)}
		}
		switch {
		case err != nil:
		case server == floorCaddy:
			err = f.serveInCaddy(port)
		default:
			err = http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", port), f)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// floor is the least that a server in Go can do: net/http and one write and read of a
// connection to php-cgi, without routes, checks, time limits and metrics.
type floor struct {
	php   barePHP
	conns chan *floorConn
}

type floorConn struct {
	net.Conn // nil before the first request: php-cgi closes a new connection after 5 seconds
	socket   string
	buf      []byte
}

// ServeHTTP runs a script.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := <-f.conns
	defer func() { f.conns <- c }()
	records, err := c.roundTrip(f.php.request(work{path: r.URL.Path}))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, body := parseResponse(records)
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body)
}

// roundTrip is bareConn.roundTrip for a connection that waits as Go does.
func (c *floorConn) roundTrip(request []byte) ([]byte, error) {
	if c.Conn == nil {
		var err error
		if c.Conn, err = net.Dial("unix", c.socket); err != nil {
			return nil, err
		}
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	for have, at := 0, 0; ; {
		var ended bool
		if at, ended = skipRecords(c.buf[:have], at); ended {
			return c.buf[:at], nil
		}
		if have == len(c.buf) {
			return nil, errors.New("the response is too long")
		}
		n, err := c.Read(c.buf[have:])
		if err != nil {
			return nil, err
		}
		have += n
	}
}

const (
	floorHTTP  = "net/http"
	floorCaddy = "Caddy"
)

// floorHandler is a floor in Caddy.
type floorHandler struct{ floor *floor }

func (h floorHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_floor", New: func() caddy.Module { return &floorHandler{h.floor} }}
}

func (h floorHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.floor.ServeHTTP(w, r)
	return nil
}

// serveInCaddy serves as Caddy does for a site with root and one handler.
func (f *floor) serveInCaddy(port int) error {
	caddy.RegisterModule(floorHandler{f})
	config := fmt.Sprintf(`{"admin": {"disabled": true, "config": {"persist": false}}, "apps": {"http": {"servers": {"srv0": {
		"listen": [":%d"], "automatic_https": {"disable": true},
		"routes": [{"match": [{"host": ["127.0.0.1"]}], "terminal": true, "handle": [{"handler": "subroute", "routes": [
			{"handle": [{"handler": "vars", "root": %q}]}, {"handle": [{"handler": "bench_floor"}]}]}]}]}}}}}`, port, f.php.site)
	if err := caddy.Load([]byte(config), true); err != nil {
		return err
	}
	select {}
}

// startFloor starts the least server in Go, with a php-cgi like that of startBare.
func startFloor(t *testing.T, site, server string) *rival {
	t.Helper()
	bare := startBare(t, site)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, port := harness.TempDir(t), harness.FreePort(t)
	r := serve(t, port, harness.Command{
		Args: []string{exe}, Dir: dir, Log: filepath.Join(dir, "out.log"),
		Env: append(strings.Fields(*speedEnv), fmt.Sprintf("%s=%s %d %s %s", floorEnv, server, port, bare.php.socket, site)),
	})
	r.t, r.name, r.limit, r.path = t, "limit: "+server+", and FastCGI over kept connections", true, "/hello.php"
	r.kept = append(r.kept, bare.kept...)
	return r
}
