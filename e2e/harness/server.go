//go:build linux

package harness

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

// Server is a Caddy process.
type Server struct {
	T        testing.TB
	Backend  Backend
	Options  Options
	Dir      string // temporary, readable for PHP
	Home     string // in which Caddy's directories data and config are
	Site     string // the document root, {$SITE} in the Caddyfile
	Port     int    // {$PORT} in the Caddyfile; the next one is {$PORT2}
	URL      string // http://127.0.0.1:port
	Client   *http.Client
	Stopped  bool
	FPM      *Supervised // php-fpm, if the backend uses it
	Recorder *Recorder   // of all round trips, if a test asked for one
	*Supervised
}

// Options are optional settings of a server.
type Options struct {
	Global   string      // lines for the global options block
	Site     string      // a document root; default: a copy of testdata/site
	Workers  int         // default 2
	FPMPools int         // more pools of php-fpm, of one worker each, at p0.sock, p1.sock, ...
	FPMConf  string      // lines at the end of php-fpm's configuration
	INI      [][2]string // PHP settings, for every backend
	FastCGI  []string    // options of php_fastcgi alone
	Wrapper  []string    // a command that runs Caddy: its path and arguments
	RunAs    RunAs       // how Caddy runs
	UID      uint32      // the user that Caddy runs as; 0: as RunAs says
	Ambient  []uintptr   // that user's ambient capabilities
	Env      []string    // added to Caddy's environment

	NoLandlock bool // the kernel refuses Landlock to Caddy

	Panic string // the text of panics of Caddy's own handlers, which are expected
}

// Start runs Caddy with a Caddyfile until the test ends. Then it checks that Caddy
// exits and leaves no process.
func Start(tb testing.TB, b Backend, caddyfile string, opts ...Options) *Server {
	tb.Helper()
	s := Prepare(tb, b, opts...)
	if err := s.Run(caddyfile); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Prepare returns a server whose Caddy does not run yet.
func Prepare(tb testing.TB, b Backend, opts ...Options) *Server {
	tb.Helper()
	s := &Server{T: tb, Backend: b, Dir: TempDir(tb), Port: FreePort(tb)}
	if len(opts) > 0 {
		s.Options = opts[0]
	}
	if s.Options.Workers == 0 {
		s.Options.Workers = 2
	}
	if s.Site = s.Options.Site; s.Site == "" {
		s.Site = filepath.Join(s.Dir, "site")
		CopyTree(tb, s.Site, Testdata(tb, "site"))
		ChownToPHP(tb, s.Site)
	}
	s.Home = s.Dir
	s.runAs()
	s.URL = "http://127.0.0.1:" + strconv.Itoa(s.Port)
	s.Client = NewClient(tb)
	if b.FPM {
		s.FPM = StartFPM(tb, s.Dir, s.Options)
	}
	return s
}

// Run starts Caddy and waits until it serves or exits.
func (s *Server) Run(caddyfile string) error {
	s.T.Helper()
	WriteFile(s.T, filepath.Join(s.Dir, "Caddyfile"), s.Config(caddyfile))
	c := s.Command("run", "--config", filepath.Join(s.Dir, "Caddyfile"))
	c.Args = append(slices.Clone(s.Options.Wrapper), c.Args...)
	s.Supervised = Supervise(s.T, c)
	s.T.Cleanup(s.check)
	deadline := time.After(MaxWait)
	for {
		if s.HasLogged("serving initial configuration") {
			return nil
		}
		select {
		case <-s.Exited:
			return fmt.Errorf("caddy exited with code %d: %s", s.ExitCode, s.LastError())
		case <-deadline:
			return errors.New("caddy does not serve")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Command is a caddy command with the environment of this server.
func (s *Server) Command(args ...string) Command {
	return Command{
		Args: append([]string{CaddyBinary}, args...),
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "XDG_DATA_HOME=" + s.Home + "/data", "XDG_CONFIG_HOME=" + s.Home + "/config",
			"DIR=" + s.Dir, "SITE=" + s.Site, "PORT=" + strconv.Itoa(s.Port), "PORT2=" + strconv.Itoa(s.Port+1),
			"CADDY_SECRET=never-for-php",
		}, s.Options.Env...),
		UID: s.Options.UID,
		Dir: s.Dir,
		Log: filepath.Join(s.Dir, "caddy.log"),

		Ambient: s.Options.Ambient, NoLandlock: s.Options.NoLandlock,
	}
}

// Config completes a Caddyfile: it inserts the backend's directive, a private admin
// endpoint, and options that keep Caddy from changing the system.
func (s *Server) Config(caddyfile string) string {
	return `{
	admin unix/{$DIR}/admin.sock
	persist_config off
	skip_install_trust
	auto_https disable_redirects
` + s.Backend.global(s.Options) + s.Options.Global + "\n}\n" + s.Backend.expand(caddyfile, s.Options)
}

// Stop signals Caddy, waits until it exits, and checks that none of its
// processes outlives it.
func (s *Server) Stop(sig syscall.Signal) {
	s.T.Helper()
	s.Stopped = true
	s.Signal(sig)
	s.WaitGone()
}

// WaitGone waits until Caddy exits, and checks that it leaves no process.
func (s *Server) WaitGone() {
	s.T.Helper()
	if _, ok := s.Wait(MaxWait); !ok {
		s.T.Errorf("caddy still runs %v after it was stopped", MaxWait)
		return
	}
	// On an idle machine they are gone within milliseconds.
	deadline := time.Now().Add(10 * time.Second)
	left := s.Processes()
	for len(left) > 0 && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
		left = s.Processes()
	}
	for _, p := range left {
		s.T.Errorf("left behind by caddy: %s", p)
	}
}

// check stops the server when its test ends, and looks for panics in the log.
func (s *Server) check() {
	if !s.Stopped {
		s.Stop(syscall.SIGTERM)
	}
	log := s.Log()
	if text := s.Options.Panic; text != "" {
		log = strings.Join(slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, text) }), "\n")
	}
	crash := crashPattern.FindStringIndex(log)
	if crash != nil {
		s.T.Errorf("caddy crashed:\n%.3000s", log[crash[0]:])
	} else if s.T.Failed() {
		s.T.Logf("the end of caddy's log:\n%s", s.lastLogLines())
	}
}

// Reload loads another Caddyfile into the running Caddy.
func (s *Server) Reload(caddyfile string) error {
	s.T.Helper()
	res := s.Admin("POST", "/load", s.Config(caddyfile))
	if res.StatusCode == http.StatusOK {
		s.AwaitListener()
		return nil
	}
	var response struct{ Error string }
	if err := json.Unmarshal([]byte(res.Text), &response); err != nil {
		return fmt.Errorf("%s: %s", res.Status, res.Text)
	}
	return errors.New(response.Error)
}

// AwaitListener waits until the listener of the previous config is closed. Caddy
// closes it after the response to /load. Until then the kernel may put a new
// connection into its accept queue, which is reset later.
func (s *Server) AwaitListener() {
	for answered, tries := 0, 0; answered < 5 && tries < 1000; answered, tries = answered+1, tries+1 {
		// Caddy closes idle connections, which the client may not have noticed yet.
		s.Client.CloseIdleConnections()
		// A NUL is rejected before a worker is acquired.
		res, err := s.Client.Do(s.Request("GET", "/%00", nil))
		if err != nil {
			answered = 0
			continue
		}
		res.Body.Close()
	}
	s.Client.CloseIdleConnections()
}

// Admin calls Caddy's admin API. The body of /load is a Caddyfile.
func (s *Server) Admin(method, path, body string) *Response {
	s.T.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(s.Dir, "admin.sock"))
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: MaxWait}
	for tries := 0; ; tries++ {
		req := NewRequest(s.T, method, "http://127.0.0.1"+path, strings.NewReader(body))
		if path == "/load" {
			req.Header.Set("Content-Type", "text/caddyfile")
			req.Header.Set("Cache-Control", "must-revalidate") // load it even if it is unchanged
		}
		res, err := client.Do(req)
		// The previous load replaces the admin endpoint a moment after its response.
		if path == "/load" && tries < 10 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
			continue
		}
		if err != nil {
			s.T.Fatal(err)
		}
		return readResponse(s.T, req, res)
	}
}

// PeakMemory returns the peak resident size of Caddy itself, in bytes.
func (s *Server) PeakMemory() int64 {
	s.T.Helper()
	status := ReadFile(s.T, fmt.Sprintf("/proc/%d/status", s.PID))
	_, rest, _ := strings.Cut(status, "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		s.T.Fatal("VmHWM:", err)
	}
	return kb << 10
}

// nextPort starts below the range of ephemeral ports, so that no client gets a port
// between our check and Caddy's bind.
var nextPort = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(20000 + rand.Int32N(5000)*2)
	return &n
}()

// FreePort returns a port that is free together with the next one.
func FreePort(tb testing.TB) int {
	tb.Helper()
	for range 1000 {
		port := int(nextPort.Add(2))
		if canListen(port) && canListen(port+1) {
			return port
		}
	}
	tb.Fatal("no free port")
	return 0
}

func canListen(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// MaxWait limits how long a test waits for anything. It is far more than the
// slowest machine needs, so that only a defect makes a test reach it.
const MaxWait = 3 * time.Minute

// Eventually repeats a check until it succeeds, and ends the test if it still
// fails after MaxWait.
func Eventually(tb testing.TB, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(MaxWait)
	for pause := 10 * time.Millisecond; ; pause = min(pause*5/4, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %v", MaxWait, err)
		}
		<-time.After(pause)
	}
}

// tail returns the last 6 KB of a log.
func tail(log string) string {
	if len(log) > 6000 {
		return "…" + log[len(log)-6000:]
	}
	return log
}

// Discard reads a body to its end and returns its length.
func Discard(tb testing.TB, body io.Reader) int64 {
	tb.Helper()
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		tb.Errorf("reading the body after %d bytes: %v", n, err)
	}
	return n
}

// Pattern returns n bytes in which every value occurs and no short sequence repeats.
func Pattern(n int) []byte {
	b := bytes.NewBuffer(make([]byte, 0, n+8))
	for i := 0; b.Len() < n; i++ {
		b.Write([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i * 7), byte(i*i + 255)})
	}
	return b.Bytes()[:n]
}

// MiB is a mebibyte.
const MiB = 1 << 20
