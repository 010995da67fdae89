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

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// floorEnv makes the test binary a server: a port, a socket of php-cgi, and the site,
// separated by spaces.
const floorEnv = "PHP_POOL_BENCH_FLOOR"

func init() {
	if text := os.Getenv(floorEnv); text != "" {
		f := &floor{conns: make(chan *floorConn, speedWorkers)}
		var port int
		_, err := fmt.Sscan(text, &port, &f.php.socket, &f.php.site)
		for range speedWorkers {
			var c net.Conn
			if err == nil {
				c, err = net.Dial("unix", f.php.socket)
			}
			f.conns <- &floorConn{Conn: c, buf: make([]byte, 256<<10)}
		}
		if err == nil {
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
	net.Conn
	buf []byte
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

// startFloor starts the least server in Go, with a php-cgi like that of startBare.
func startFloor(t *testing.T, site string) *rival {
	t.Helper()
	bare := startBare(t, site)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, port := harness.TempDir(t), harness.FreePort(t)
	r := serve(t, port, harness.Command{
		Args: []string{exe}, Dir: dir, Log: filepath.Join(dir, "out.log"),
		Env: append(strings.Fields(*speedEnv), fmt.Sprintf("%s=%d %s %s", floorEnv, port, bare.php.socket, site)),
	})
	r.t, r.name, r.limit, r.path = t, "limit: net/http, and FastCGI over kept connections", true, "/hello.php"
	r.kept = append(r.kept, bare.kept...)
	return r
}
