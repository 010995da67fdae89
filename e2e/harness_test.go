//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is a Caddy that runs as a process of its own.
type server struct {
	t       *testing.T
	b       backend
	opts    options
	dir     string // private, and readable for PHP
	site    string // the document root, {$SITE} in the Caddyfile
	port    int    // {$PORT}; a second one, for a second site, is {$PORT2}
	url     string // http://127.0.0.1:port
	client  *http.Client
	stopped bool
	fpm     *keeper // php-fpm, where that runs PHP
	*keeper
}

// options change what start does.
type options struct {
	global  string      // lines for the global options block
	site    string      // a document root; default: a copy of testdata/site
	workers int         // default 2
	pools   int         // so many more php-fpm has, of one worker each, at p0.sock and so on
	ini     [][2]string // PHP settings, for every backend
	under   []string    // a program, with its path, that runs Caddy
	uid     uint32      // as whom Caddy runs; 0: as these tests
	ambient []uintptr   // the capabilities it then has
	env     []string    // more of Caddy's environment
}

// start runs Caddy with a Caddyfile until the test ends, and then checks that
// Caddy ends and that nothing is left of it.
func start(t *testing.T, b backend, caddyfile string, opts ...options) *server {
	t.Helper()
	s := prepare(t, b, opts...)
	if err := s.run(caddyfile); err != nil {
		t.Fatal(err)
	}
	return s
}

// prepare does what start does before it runs Caddy.
func prepare(t *testing.T, b backend, opts ...options) *server {
	t.Helper()
	s := &server{t: t, b: b, dir: tempDir(t), port: freePort(t)}
	if len(opts) > 0 {
		s.opts = opts[0]
	}
	if s.opts.workers == 0 {
		s.opts.workers = 2
	}
	if s.site = s.opts.site; s.site == "" {
		s.site = filepath.Join(s.dir, "site")
		copyTree(t, s.site, "testdata/site")
		giveToPHP(t, s.site)
	}
	s.url = "http://127.0.0.1:" + strconv.Itoa(s.port)
	s.client = newClient(t)
	if b.fpm {
		s.fpm = startFPM(t, s.dir, s.opts)
	}
	return s
}

// run starts Caddy and waits until it serves or is gone.
func (s *server) run(caddyfile string) error {
	s.t.Helper()
	writeFile(s.t, filepath.Join(s.dir, "Caddyfile"), s.config(caddyfile))
	c := s.command("run", "--config", filepath.Join(s.dir, "Caddyfile"))
	c.Args = append(slices.Clone(s.opts.under), c.Args...)
	s.keeper = keep(s.t, c)
	s.t.Cleanup(s.check)
	deadline := time.After(maxWait)
	for {
		if s.hasLogged("serving initial configuration") {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("caddy ended with code %d: %s", s.code, s.lastError())
		case <-deadline:
			return errors.New("caddy does not serve")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// command is a call of caddy in this server's surroundings.
func (s *server) command(args ...string) command {
	return command{
		Args: append([]string{caddyBin}, args...),
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_DATA_HOME=" + s.dir + "/data", "XDG_CONFIG_HOME=" + s.dir + "/config",
			"DIR=" + s.dir, "SITE=" + s.site, "PORT=" + strconv.Itoa(s.port), "PORT2=" + strconv.Itoa(s.port+1),
			"CADDY_SECRET=never-for-php",
		}, s.opts.env...),
		UID: s.opts.uid,
		Dir: s.dir,
		Log: filepath.Join(s.dir, "caddy.log"),

		Ambient: s.opts.ambient,
	}
}

// config completes a Caddyfile: the backend's directive, an admin endpoint that
// nobody else uses, and nothing that touches the system.
func (s *server) config(caddyfile string) string {
	return `{
	admin unix/{$DIR}/admin.sock
	persist_config off
	skip_install_trust
	auto_https disable_redirects
` + s.opts.global + "\n}\n" + s.b.expand(caddyfile, s.opts)
}

// stop signals Caddy, waits until it exits, and checks that none of its
// processes outlives it.
func (s *server) stop(sig syscall.Signal) {
	s.t.Helper()
	s.stopped = true
	s.signal(sig)
	s.gone()
}

// gone waits for Caddy's end and checks what it leaves.
func (s *server) gone() {
	s.t.Helper()
	if _, ok := s.wait(maxWait); !ok {
		s.t.Errorf("caddy still runs %v after it was told to stop", maxWait)
		return
	}
	// On an idle machine they are gone within milliseconds.
	deadline := time.Now().Add(10 * time.Second)
	left := s.processes()
	for len(left) > 0 && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
		left = s.processes()
	}
	for _, p := range left {
		s.t.Errorf("left behind by caddy: %s", p)
	}
}

// check ends a server at the end of its test.
func (s *server) check() {
	if !s.stopped {
		s.stop(syscall.SIGTERM)
	}
	crash := crashed.FindStringIndex(s.log())
	if crash != nil {
		s.t.Errorf("caddy crashed:\n%.3000s", s.log()[crash[0]:])
	} else if s.t.Failed() {
		s.t.Logf("the end of caddy's log:\n%s", s.lastWords())
	}
}

// reload loads another Caddyfile into the running Caddy.
func (s *server) reload(caddyfile string) error {
	s.t.Helper()
	res := s.admin("POST", "/load", s.config(caddyfile))
	if res.StatusCode == http.StatusOK {
		s.awaitListener()
		return nil
	}
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(res.body), &answer); err != nil {
		return fmt.Errorf("%s: %s", res.Status, res.body)
	}
	return errors.New(answer.Error)
}

// awaitListener waits until the listener of the config before has gone. Caddy
// closes it when /load has been answered, and until then the system may put a
// new connection into its queue, only for it to be reset.
func (s *server) awaitListener() {
	for answered, tries := 0, 0; answered < 5 && tries < 1000; answered, tries = answered+1, tries+1 {
		// Also the idle ones are closed, and the client may not know it yet.
		s.client.CloseIdleConnections()
		// A NUL is refused before any worker is asked.
		res, err := s.client.Do(s.request("GET", "/%00", nil))
		if err != nil {
			answered = 0
			continue
		}
		res.Body.Close()
	}
	s.client.CloseIdleConnections()
}

// admin calls Caddy's admin API; a body is taken for a Caddyfile.
func (s *server) admin(method, path, body string) *response {
	s.t.Helper()
	req := newRequest(s.t, method, "http://127.0.0.1"+path, strings.NewReader(body))
	if path == "/load" {
		req.Header.Set("Content-Type", "text/caddyfile")
		req.Header.Set("Cache-Control", "must-revalidate") // even if it is the same
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(s.dir, "admin.sock"))
	}}
	defer transport.CloseIdleConnections()
	return do(s.t, &http.Client{Transport: transport, Timeout: maxWait}, req)
}

// memoryPeak is the most memory that Caddy itself ever had, in bytes.
func (s *server) memoryPeak() int64 {
	s.t.Helper()
	status := readFile(s.t, fmt.Sprintf("/proc/%d/status", s.PID))
	_, rest, _ := strings.Cut(status, "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		s.t.Fatal("VmHWM:", err)
	}
	return kb << 10
}

// ports are below the range that the kernel gives to clients, so that nobody
// gets one between our asking and Caddy's listening.
var ports = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(20000 + rand.Int32N(5000)*2)
	return &n
}()

// freePort finds a port that is free together with the one that follows it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := int(ports.Add(2))
		if listens(port) && listens(port+1) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func listens(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// maxWait limits how long a test waits for anything. It is far more than the
// slowest machine needs, so that only a defect makes a test reach it.
const maxWait = 2 * time.Minute

// eventually repeats a check until it succeeds, and ends the test if it still
// fails after maxWait.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(maxWait)
	for pause := 10 * time.Millisecond; ; pause = min(pause*5/4, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", maxWait, err)
		}
		<-time.After(pause)
	}
}

// tail is the last 6 KB of a log.
func tail(log string) string {
	if len(log) > 6000 {
		return "…" + log[len(log)-6000:]
	}
	return log
}

// discard reads a body to its end and counts it.
func discard(t *testing.T, body io.Reader) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		t.Errorf("reading the body after %d bytes: %v", n, err)
	}
	return n
}

// pattern is n bytes in which every value occurs and no short period repeats.
func pattern(n int) []byte {
	b := bytes.NewBuffer(make([]byte, 0, n+8))
	for i := 0; b.Len() < n; i++ {
		b.Write([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i * 7), byte(i*i + 255)})
	}
	return b.Bytes()[:n]
}

const mib = 1 << 20
