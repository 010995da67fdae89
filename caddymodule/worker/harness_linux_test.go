package worker_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/worker"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// waitLimit limits what should take milliseconds, on a busy machine.
const waitLimit = 20 * time.Second

const mark = "php_pool:test"

// detected is the php-cgi of this system.
var detected = sync.OnceValues(func() (*phpbin.Binary, error) {
	path, err := phpbin.Find("")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	return phpbin.Detect(ctx, path, phpbin.Options{})
})

func php(tb testing.TB) *phpbin.Binary {
	tb.Helper()
	binary, err := detected()
	if err != nil {
		tb.Fatalf("php-cgi is missing: `make test` installs it (%v)", err)
	}
	if !binary.Version.AtLeast(8, 0) {
		tb.Skipf("worker scripts need PHP 8.0, this is PHP %s", binary.VersionText)
	}
	return binary
}

// site is a directory with a worker script, and a launcher for it.
type site struct {
	tb       testing.TB
	dir      string
	script   worker.Script
	opts     phpbin.Options
	single   bool
	launcher pool.Launcher
	resets   int

	mu     sync.Mutex
	output []string
}

// loop is a worker script that runs request.php for each request.
const loop = `<?php while (frankenphp_handle_request(static function () { include __DIR__ . '/request.php'; })) {}`

// newSite prepares a site whose worker script is source. change may change it.
func newSite(tb testing.TB, source string, change ...func(*site)) *site {
	tb.Helper()
	binary := php(tb)
	s := &site{tb: tb, dir: tb.TempDir()}
	s.write("worker.php", source)
	s.script = worker.Script{
		Filename: filepath.Join(s.dir, "worker.php"), Root: s.dir, SignalMark: mark, OnReset: func() { s.resets++ },
	}
	s.opts = phpbin.Options{
		Binary: binary.Path, Slots: 2, RuntimeDir: tb.TempDir(),
		Handshake: fastcgi.HandshakeFunc(binary.KeepsConnAfterGetValues()),
		Output: func(o phpbin.Output) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.output = append(s.output, o.Text)
		},
	}
	s.ini("session.save_path", s.dir)
	for _, f := range change {
		f(s)
	}
	return s
}

func (s *site) ini(name, value string) {
	s.opts.INI = append(s.opts.INI, phpbin.Setting{Name: name, Value: value})
}

func (s *site) write(name, source string) {
	s.tb.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(source), 0o644); err != nil {
		s.tb.Fatal(err)
	}
}

// start starts php-cgi.
func (s *site) start() *site {
	s.tb.Helper()
	s.script.Prepare(&s.opts)
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	var (
		base interface{ Slots() int }
		err  error
	)
	if s.single {
		base, err = phpbin.StartSingle(ctx, s.opts)
	} else {
		base, err = phpbin.StartShared(ctx, s.opts)
	}
	if err == nil {
		s.launcher, err = s.script.Start(base)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.launcher.Close(ctx); err != nil {
			s.tb.Error(err)
		}
		if s.tb.Failed() {
			s.tb.Logf("output:\n%s", strings.Join(s.logged(), "\n"))
		}
	})
	return s
}

func (s *site) logged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.output...)
}

// instance is a worker.
type instance struct {
	pool.Process
	site *site
	conn *fastcgi.Conn
}

func (s *site) launch() (*instance, error) {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	p, err := s.launcher.Launch(ctx)
	if err != nil {
		return nil, err
	}
	return &instance{p, s, p.Conn()}, nil
}

func (s *site) mustLaunch() *instance {
	s.tb.Helper()
	w, err := s.launch()
	if err != nil {
		s.tb.Fatal(err)
	}
	return w
}

// request is a request to a worker.
type request struct {
	method, uri string
	header      map[string]string
	body        string
	params      map[string]string
	interim     fastcgi.InterimHandler
}

// fastCGI encodes the request.
func (r request) fastCGI(s *site) *fastcgi.Request {
	f := fastcgi.NewRequest()
	path, query, _ := strings.Cut(r.uri, "?")
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	for name, value := range map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "example.com", "SERVER_PORT": "80",
		"REQUEST_METHOD": method, "REQUEST_URI": r.uri, "QUERY_STRING": query, "SCRIPT_NAME": "/worker.php", "PATH_INFO": path,
		"SCRIPT_FILENAME": s.script.Filename, "DOCUMENT_ROOT": s.dir, "REMOTE_ADDR": "203.0.113.7", "REDIRECT_STATUS": "200",
	} {
		if _, ok := r.params[name]; !ok {
			f.AddParam(name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.params)) {
		f.AddParam(name, r.params[name])
	}
	for name, value := range r.header {
		if name == "Content-Type" {
			f.AddParam("CONTENT_TYPE", value)
			continue
		}
		f.AddHeader(name, []string{value})
	}
	if r.body != "" {
		f.AddParam("CONTENT_LENGTH", strconv.Itoa(len(r.body)))
		f.Body, f.ContentLength = strings.NewReader(r.body), int64(len(r.body))
	}
	f.Head = method == http.MethodHead
	f.SignalMark, f.Interim = mark, r.interim
	return f
}

// result is a response, or why none has arrived.
type result struct {
	status int
	header http.Header
	body   string
	stderr string
	err    error
}

// do sends a request and waits until the worker is ready again.
func (w *instance) do(r request) (res result) {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	f := r.fastCGI(w.site)
	defer f.Free()
	var stderr strings.Builder
	defer func() { res.stderr = stderr.String() }()
	f.Stderr = &stderr
	resp, err := w.conn.RoundTrip(ctx, f)
	if err != nil {
		return result{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return result{status: resp.StatusCode, header: resp.Header, body: string(body), err: err}
}

// get is do, and fails without a complete response.
func (w *instance) get(uri string) result {
	w.site.tb.Helper()
	a := w.do(request{uri: uri})
	if a.err != nil {
		w.site.tb.Fatalf("%s: %v; stderr %q; output %q", uri, a.err, a.stderr, w.site.logged())
	}
	return a
}

// waitDone waits until the script has ended.
func (w *instance) waitDone() {
	w.site.tb.Helper()
	select {
	case <-w.Done():
	case <-time.After(waitLimit):
		w.site.tb.Fatal("the script has not ended")
	}
}

func (w *instance) stop() {
	w.site.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		w.site.tb.Errorf("Stop: %v", err)
	}
}

// small sends the request of a browser to a script that prints a word. It returns what
// sends the same request again.
func small(t *testing.T, w *instance) func() {
	t.Helper()
	send := w.sender(t, browser(http.MethodGet, "/", "").fastCGI(w.site))
	send()
	return send
}

// sender returns a function that sends a request, and reads its response.
func (w *instance) sender(tb testing.TB, f *fastcgi.Request) func() {
	tb.Helper()
	return func() {
		if err := f.Rewind(); err != nil {
			tb.Fatal(err)
		}
		resp, err := w.conn.RoundTrip(tb.Context(), f)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			tb.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}
