// Package worker runs worker scripts: PHP scripts that stay in memory and serve many
// requests (frankenphp_handle_request). It joins phpbin, which runs them in php-cgi,
// phpbin/runtime, the PHP that makes a FastCGI responder of them, and fastcgi, which
// speaks to both, to a pool.Launcher.
//
// Each php-cgi runs one request that does not end, whose script is the worker script. Before the
// script, auto_prepend_file connects to a socket of ours, over which the script gets the
// requests of clients, in FastCGI records.
package worker

import (
	"context"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	phpruntime "github.com/mevdschee/caddy-php-pool/phpbin/runtime"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Script is a worker script and what it needs.
type Script struct {
	// Filename is the absolute path of the script.
	Filename string
	// Root is DOCUMENT_ROOT.
	Root string
	// Env are variables of the environment, which are in $_SERVER too.
	Env map[string]string
	// Prepend is the auto_prepend_file of the user; "" means none.
	Prepend string
	// Disabled are the functions that the user has disabled.
	Disabled []string
	// SignalMark is that of the requests: see fastcgi.Request.
	SignalMark string
	// OnReset, if not nil, is called when the script has called opcache_reset(), or has
	// started without OPcache because that is full.
	OnReset func()
}

// Prepare adds to the options of php-cgi what a worker script needs.
func (s *Script) Prepare(o *phpbin.Options) {
	source := phpruntime.Worker{Mark: s.SignalMark, Prepend: s.Prepend, Disabled: s.Disabled}
	o.Prelude = phpbin.Prelude{Source: source.Source(), Directive: phpbin.Prepend}
	o.Env = maps.Clone(o.Env)
	if o.Env == nil {
		o.Env = map[string]string{}
	}
	for name, value := range s.Env {
		if phpbin.AllowsEnv(name) {
			o.Env[name] = value
		}
	}
	o.INI = append(slices.Clip(o.INI),
		phpbin.Setting{Name: "disable_functions", Value: phpruntime.WorkerDisabled(s.Disabled)},
		// PHP would kill workers that do not end their request.
		phpbin.Setting{Name: "opcache.force_restart_timeout", Value: "0"},
	)
}

// Start starts a generation of workers with the options that Prepare has changed. base is
// the launcher of phpbin for them.
func (s *Script) Start(base interface{ Slots() int }) (pool.Launcher, error) {
	w, err := phpbin.NewWorkers(base, phpbin.WorkerOptions{
		Run:   s.run,
		Greet: func(conn net.Conn, nonce string) error { return fastcgi.GreetWorker(conn, nonce) },
		Ready: func(conn net.Conn) error { return fastcgi.AwaitWorker(conn) },
		Stop:  func(conn net.Conn) error { return fastcgi.StopWorker(conn) },
	})
	if err != nil {
		return nil, err
	}
	return &launcherAdapter{w, s}, nil
}

// run runs the script over conn until it ends.
func (s *Script) run(conn net.Conn, b phpbin.BackConnection) (reusable bool, messages []string) {
	// A Conn over a socket would leave responses in its buffer, where the Conn of the next
	// script would find them.
	c := fastcgi.NewConn(struct{ net.Conn }{conn})
	r := fastcgi.NewRequest()
	defer r.Free()
	var stderr strings.Builder
	r.Stderr = &stderr
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !phpbin.AllowsEnv(name) { // the others are in the environment of php-cgi
			r.AddParam(name, s.Env[name])
		}
	}
	path := "/" + filepath.Base(s.Filename)
	if rest, ok := strings.CutPrefix(s.Filename, s.Root+"/"); ok {
		path = "/" + rest
	}
	for _, p := range [...][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"SERVER_SOFTWARE", "Caddy"},
		{"SERVER_NAME", "localhost"},
		{"REQUEST_METHOD", "GET"},
		{"REQUEST_URI", path},
		{"QUERY_STRING", ""},
		{"DOCUMENT_ROOT", s.Root},
		{"SCRIPT_NAME", path},
		{"SCRIPT_FILENAME", s.Filename},
		{"REDIRECT_STATUS", "200"},
		{"FRANKENPHP_WORKER", "1"},
		{"PHP_POOL_ADDRESS", b.Address},
		{"PHP_POOL_NONCE", b.Nonce},
		{"PHP_POOL_LOG", b.Log},
	} {
		r.AddParam(p[0], p[1])
	}
	resp, err := c.RoundTrip(context.Background(), r)
	if err == nil {
		// The script writes nothing here: PHP says this if there is no script to run.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		_ = resp.Body.Close()
		if text := string(body); text == phpbin.NoInputFile || text == phpbin.AccessDenied {
			messages = append(messages, "cannot open the worker script "+s.Filename+": "+strings.TrimSpace(text))
		}
	}
	for line := range strings.Lines(stderr.String()) {
		messages = append(messages, strings.TrimRight(line, "\r\n"))
	}
	return c.Reusable(), messages
}

// launcherAdapter makes a phpbin.Workers a pool.Launcher.
type launcherAdapter struct {
	*phpbin.Workers
	script *Script
}

func (l *launcherAdapter) HealthCheck(ctx context.Context, conn *fastcgi.Conn) error {
	return conn.Ping(ctx)
}

func (l *launcherAdapter) Launch(ctx context.Context) (pool.Process, error) {
	w, err := l.Workers.Launch(ctx)
	if err != nil {
		return nil, err
	}
	conn := fastcgi.NewWorkerConn(w.Conn(), fastcgi.WorkerOptions{Log: w.Log(), OnReset: l.script.OnReset, OpenInput: w.OpenInput})
	return &processAdapter{w, conn}, nil
}

// processAdapter makes a phpbin.Worker a pool.Process.
type processAdapter struct {
	*phpbin.Worker
	conn *fastcgi.Conn
}

func (p *processAdapter) Conn() *fastcgi.Conn { return p.conn }

// Drain waits until the script is ready again. It keeps its connection.
func (p *processAdapter) Drain(ctx context.Context) (pool.Process, error) {
	if err := p.conn.Recover(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Activity returns the backtrace of the script, without the calls of the PHP that runs
// it, and what its process is blocked on.
func (p *processAdapter) Activity(depth int) (pool.Activity, error) {
	frames, err := p.Backtrace(depth + 1 + ownFrames)
	frames = slices.DeleteFunc(frames, func(f phpbin.Frame) bool { return strings.HasPrefix(f.Function, "PhpPool") })
	return NewActivity(frames, depth, p.BlockedOn), err
}

// NewActivity returns an activity with at most depth of the frames, and a mark if there
// are more.
func NewActivity(frames []phpbin.Frame, depth int, blockedOn func() (phpbin.Wait, error)) pool.Activity {
	var a pool.Activity
	for i, f := range frames {
		if i == depth {
			a.Backtrace = append(a.Backtrace, "…")
			break
		}
		a.Backtrace = append(a.Backtrace, f.String())
	}
	if wait, err := blockedOn(); err == nil {
		a.BlockedOn = wait.String()
	}
	return a
}

// ownFrames is the largest number of calls of phpbin/runtime on a stack: those between
// frankenphp_handle_request and the handler, and those that send output.
const ownFrames = 8
