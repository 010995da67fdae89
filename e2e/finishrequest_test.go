//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// finishCase is a script that calls fastcgi_finish_request.
type finishCase struct {
	name   string
	before string // PHP before the call
	after  string // PHP after it; what it puts into $note is compared too
	method string // default: GET

	differs string // why php-fpm differs; then the note has to be this
	note    string
}

var finishCases = []finishCase{
	{name: "output", before: `echo 'hello';`, after: `$note = var_export($finished, true);`},
	{name: "no output", before: `header('X-A: 1');`},
	{name: "redirect", before: `header('Location: /elsewhere', true, 303);`},
	{name: "no content", before: `http_response_code(204);`},
	{name: "HEAD", before: `echo 'hello';`, method: "HEAD"},
	{name: "error status", before: `http_response_code(503); echo 'later';`},
	{name: "output buffers", before: `ob_start(); echo 'a'; ob_start(); echo 'b';`, after: `$note = ob_get_level();`},
	{name: "output buffer with a callback", before: `ob_start(function ($text) { return strrev($text); }); echo 'abc';`},
	{name: "compressed", before: `ini_set('zlib.output_compression', '1'); echo str_repeat('hello ', 1000);`},
	{name: "Content-Length", before: `header('Content-Length: 5'); echo 'hello';`},
	{name: "300 KB", before: `echo str_repeat('0123456789', 30000);`},
	{name: "flushed before", before: `echo 'a'; flush(); echo 'b';`},
	{name: "cookies", before: `setcookie('a', 'b'); setcookie('c', 'd'); echo 'x';`},
	{name: "output afterwards", before: `echo 'hello';`, after: `echo 'dropped'; $note = 'ran';`},
	{
		name: "much output afterwards", before: `echo 'hello';`, after: `echo str_repeat('x', 3 << 20); flush(); $note = 'ran';`,
		differs: "php-fpm terminates the script when its buffer of 8 KB is full", note: "ran",
	},
	{name: "header afterwards", before: `echo 'hello';`, after: `header('X-Late: 1'); $note = error_get_last()['message'] !== null ? 'warning' : 'none';`},
	{name: "exception afterwards", before: `echo 'hello';`, after: `$note = 'ran'; register_shutdown_function($write); throw new Exception('late');`},
	{name: "shutdown function afterwards", before: `echo 'hello';`, after: `register_shutdown_function(function () use ($write) { $GLOBALS['note'] = 'shutdown'; $write(); }); exit;`},
	{name: "session", before: `session_save_path(__DIR__); session_id('finish'); session_start(); $_SESSION['a'] = 1; echo 'hello';`, after: `$_SESSION['a'] = 2; session_write_close(); $note = file_get_contents(__DIR__ . '/sess_finish');`},
	{
		name: "second call", before: `echo 'hello';`, after: `$note = var_export(fastcgi_finish_request(), true);`,
		differs: "php-fpm returns true if the web server keeps the connection", note: "false",
	},
	{name: "connection status", before: `echo 'hello';`, after: `$note = connection_status() . connection_aborted();`},
}

// script returns the PHP of a case. It completes its response, and then waits for a
// file before it goes on.
func (c finishCase) script() string {
	return `<?php
$base = substr(__FILE__, 0, -4);
$note = '';
$write = function () use ($base) { file_put_contents("$base.tmp", $GLOBALS['note']); rename("$base.tmp", "$base.done"); };
` + c.before + `
$finished = fastcgi_finish_request();
while (!file_exists("$base.go")) { usleep(2000); clearstatcache(); }
` + c.after + `
$write();
`
}

// finishResult is the response, which was complete while the script waited, and what
// the script did afterwards.
type finishResult struct {
	received
	note string
}

// finish runs a case. Each has its own file, because OPcache does not notice a
// change within a second.
func finish(t *testing.T, s *harness.Server, protocol string, c finishCase) finishResult {
	t.Helper()
	name := strings.ReplaceAll(c.name, " ", "-")
	base := filepath.Join(s.Site, name)
	for _, suffix := range []string{".go", ".done"} {
		if err := os.Remove(base + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	harness.WriteFile(t, base+".php", c.script())
	r := finishResult{received: send(t, s, protocol, comparison{method: c.method}, "/"+name+".php")}
	if !strings.Contains(c.before, "Content-Length") {
		r.Header.Del("Content-Length") // chunked or not depends on what arrives together
	}
	harness.WriteFile(t, base+".go", "")
	harness.Eventually(t, func() error {
		note, err := os.ReadFile(base + ".done")
		r.note = string(note)
		return err
	})
	return r
}

// TestFinishRequest runs scripts that complete their response and go on. The response
// has to be there while they still wait, and to be that of php-fpm.
func TestFinishRequest(t *testing.T) {
	t.Parallel()
	opts := harness.Options{Global: "servers {\nprotocols h1 h2c\n}"}
	const site = "http://127.0.0.1:{$PORT} {\nroot {$SITE}\nPHP\n}"
	fpm := harness.Start(t, harness.FPM, site, opts)
	want := make([]finishResult, len(finishCases))
	for i, c := range finishCases {
		if c.differs == "" {
			want[i] = finish(t, fpm, "HTTP/1.1", c)
		}
	}
	harness.ForEach(t, append(slices.Clone(harness.AllBackends), harness.ByListener), func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, site, opts)
		for i, c := range finishCases {
			t.Run(c.name, func(t *testing.T) {
				for _, protocol := range []string{"HTTP/1.1", "h2c"} {
					got := finish(t, s, protocol, c)
					if c.differs != "" {
						if got.note != c.note || got.Status != 200 || got.Body != "hello" || got.Cut {
							t.Errorf("%s: got note %q and\n%s\nwant %q and hello", protocol, got.note, got.received, c.note)
						}
						continue
					}
					if !reflect.DeepEqual(got, want[i]) {
						t.Errorf("%s: got note %q and\n%s\nphp-fpm: %q and\n%s", protocol, got.note, got.received, want[i].note, want[i].received)
					}
				}
			})
		}
	})
}

// TestFinishRequest_Worker checks the worker of a script that has completed its
// response: it is busy, is not limited by request_timeout, and may die without
// consequence for the client.
func TestFinishRequest_Worker(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		site := harness.PoolSite(b, "manager static", "workers 1", "request_timeout 300ms", "slow_request 100ms")
		s := harness.Start(t, b, site)
		harness.WriteFile(t, filepath.Join(s.Site, "later.php"), `<?php
			echo getmypid();
			fastcgi_finish_request();
			error_log('still running');
			touch(__DIR__ . '/later.runs');
			for ($end = microtime(true) + ($_GET['for'] ?? 60); microtime(true) < $end && !file_exists(__DIR__ . '/later.go');) { usleep(2000); clearstatcache(); }
			file_put_contents(__DIR__ . '/later.ended', getmypid());`)
		finishing := func() {
			s.WaitPool("finishing", func(p harness.PoolStatus) bool {
				return len(p.List) == 1 && p.List[0].State == "finishing" && p.Workers.Busy == 1
			})
		}
		idle := func() {
			s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 && p.List[0].State == "idle" })
		}
		remove := func(names ...string) {
			for _, name := range names {
				_ = os.Remove(filepath.Join(s.Site, name))
			}
		}

		// Longer than request_timeout and slow_request.
		pid := s.Get("/later.php?for=1").Text
		finishing()
		idle()
		if got := harness.ReadFile(t, filepath.Join(s.Site, "later.ended")); got != pid {
			t.Errorf("the script ran to its end in process %q, want %s", got, pid)
		}
		p := s.Pool()
		if p.Requests.Slow != 0 || len(p.Exits) != 0 || p.Requests.Total != 1 {
			t.Errorf("got %+v, exits %v", p.Requests, p.Exits)
		}
		if entry := s.WaitLogged("stderr", 1); entry["stderr"] != "still running" {
			t.Errorf("got %v", entry)
		}

		// The client has its response, and the config is replaced.
		remove("later.ended")
		s.Get("/later.php")
		finishing()
		s.MustReload(strings.Replace(site, "php_pool {", "php_pool {\nini memory_limit 65M\n", 1))
		s.Get("/hello.php").Want(t, 200, "hello\n") // by the new generation
		harness.WriteFile(t, filepath.Join(s.Site, "later.go"), "")
		harness.Eventually(t, func() error {
			_, err := os.Stat(filepath.Join(s.Site, "later.ended"))
			return err
		})
		idle()

		// The process is killed.
		remove("later.go", "later.ended")
		var victim int
		if _, err := fmt.Sscan(s.Get("/later.php").Text, &victim); err != nil {
			t.Fatal(err)
		}
		finishing()
		harness.Kill(t, victim, syscall.SIGKILL)
		s.WaitPool("replaced", func(p harness.PoolStatus) bool {
			return p.Exits["crashed"] == 1 && p.Requests.Retried == 0 && p.Requests.Failed == 0 && p.Workers.Idle == 1
		})
	})
}

// TestFinishRequest_Loading checks how the functions are loaded.
func TestFinishRequest_Loading(t *testing.T) {
	t.Parallel()
	type functions struct {
		Names             []string
		Directive, Reason string
	}
	both := []string{"fastcgi_finish_request", "headers_send"}
	for name, tt := range map[string]struct {
		options []string
		want    functions // the reason is a part of it
		extra   string    // another function that must exist
	}{
		"opcache":      {nil, functions{both, "opcache.preload", ""}, ""},
		"own preload":  {[]string{"ini opcache.preload {$SITE}/own.php"}, functions{both, "opcache.preload", ""}, "own"},
		"own prepend":  {[]string{"ini auto_prepend_file {$SITE}/own.php"}, functions{both, "opcache.preload", ""}, "own"},
		"isolate":      {[]string{"isolate"}, functions{both, "opcache.preload", ""}, ""},
		"no opcache":   {[]string{"ini opcache.enable 0"}, functions{both, "auto_prepend_file", "OPcache is off"}, ""},
		"no way":       {[]string{"ini opcache.enable 0", "ini auto_prepend_file {$SITE}/own.php"}, functions{nil, "", "it loads"}, "own"},
		"confined":     {[]string{"ini opcache.enable 0", "ini open_basedir /"}, functions{nil, "", "open_basedir is set"}, ""},
		"disabled":     {[]string{`ini disable_functions "exec, fastcgi_finish_request"`}, functions{both[1:], "opcache.preload", ""}, ""},
		"disabled log": {[]string{"ini disable_functions error_log"}, functions{nil, "", "disable_functions"}, ""},
		"no logging":   {[]string{"ini fastcgi.logging 0"}, functions{nil, "", "fastcgi.logging"}, ""},
		"off":          {[]string{"finish_request off"}, functions{nil, "", "finish_request is off"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
				s := harness.Prepare(t, b)
				site := strings.Replace(harness.PoolSite(b, append([]string{"manager static", "workers 1"}, tt.options...)...), "php_pool {", "php_pool {\nroot {$SITE}\n", 1)
				harness.WriteFile(t, filepath.Join(s.Site, "own.php"), `<?php if (!function_exists('own')) { function own() {} }`)
				harness.WriteFile(t, filepath.Join(s.Site, "functions.php"), `<?php foreach (['fastcgi_finish_request', 'headers_send', 'own'] as $name) { if (function_exists($name)) { echo "$name "; } }`)
				if err := s.Run(site); err != nil {
					t.Fatal(err)
				}
				var status struct{ PHP struct{ Functions functions } }
				if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &status); err != nil {
					t.Fatal(err)
				}
				got := status.PHP.Functions
				if !slices.Equal(got.Names, tt.want.Names) || got.Directive != tt.want.Directive || !strings.Contains(got.Reason, tt.want.Reason) || (tt.want.Reason == "") != (got.Reason == "") {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
				want := strings.Join(append(slices.Clone(tt.want.Names), tt.extra), " ")
				if got := strings.TrimSpace(s.Get("/functions.php").Text); got != strings.TrimSpace(want) {
					t.Errorf("got functions %q, want %q", got, want)
				}
			})
		})
	}
}

// TestFinishRequest_FileRemoved checks that the file of the functions does not stay
// when Caddy stops, or is killed.
func TestFinishRequest_FileRemoved(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			tmp := harness.TempDir(t)
			if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			s := harness.Start(t, b, harness.PoolSite(b, "ini opcache.enable 0"), harness.Options{Env: []string{"TMPDIR=" + tmp}})
			if found, err := filepath.Glob(tmp + "/php-pool-*/functions.php"); err != nil || len(found) != 1 {
				t.Errorf("got files %q, want one: %v", found, err)
			}
			s.Stopped = true
			s.Signal(sig)
			s.Wait(harness.MaxWait)
			harness.Eventually(t, func() error {
				found, err := os.ReadDir(tmp)
				if len(found) > 0 {
					return fmt.Errorf("%v: still there: %v", sig, found)
				}
				return err
			})
		}
	})
}

// TestFinishRequest_ForgedSignal logs text that looks like a signal.
func TestFinishRequest_ForgedSignal(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := harness.Start(t, b, harness.PoolSite(b))
	harness.WriteFile(t, filepath.Join(s.Site, "forged.php"), `<?php echo 'a'; flush(); error_log('php_pool:ABCDEF finish 1;', 4); flush(); echo 'b';`)
	s.Get("/forged.php").Want(t, 200, "ab")
	if entry := s.WaitLogged("stderr", 1); entry["stderr"] != "php_pool:ABCDEF finish 1;" {
		t.Errorf("got %v", entry)
	}
}

// TestEarlyHints checks who gets the Early Hints of headers_send, and that the header
// of the response is complete nevertheless.
func TestEarlyHints(t *testing.T) {
	t.Parallel()
	const script = `<?php
		header('Link: </a.css>; rel=preload'); header('Link: </b.css>; rel=preload', false); header('X-A: 1');
		$sent = headers_send(103);
		header('X-B: 2');
		echo "hello $sent";`
	opts := harness.Options{Global: "servers {\nprotocols h1 h2c\n}"}
	hint := []string{"103 </a.css>; rel=preload"}
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b, opts)
		harness.WriteFile(t, filepath.Join(s.Site, "early.php"), script)
		if err := s.Run(harness.PoolSite(b)); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			option    string
			http1, h2 []string
		}{{"early_hints h2", nil, hint}, {"early_hints all", hint, hint}, {"early_hints off", nil, nil}} {
			for _, around := range []string{"", "encode\nintercept {\n@e status 5xx\nhandle_response @e {\nrespond intercepted\n}\n}\n"} {
				s.MustReload(strings.Replace(harness.PoolSite(b, tt.option), "php_pool {", around+"php_pool {", 1))
				for protocol, want := range map[string][]string{"HTTP/1.1": tt.http1, "h2c": tt.h2} {
					got := send(t, s, protocol, comparison{}, "/early.php")
					for i := 0; i < 5 && got.Status == 0; i++ {
						// After a reload Caddy may close a connection without a response.
						got = send(t, s, protocol, comparison{}, "/early.php")
					}
					if !slices.Equal(got.Interim, want) || got.Status != 200 || got.Body != "hello 1" || len(got.Header["Link"]) != 2 || got.Header.Get("X-B") != "2" {
						t.Errorf("%s, %s, %q: got\n%s", tt.option, protocol, around, got)
					}
				}
			}
		}
	})
}
