package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// kinds runs a test with both launchers.
func kinds(t *testing.T, test func(t *testing.T, kind func(*site))) {
	t.Helper()
	for _, single := range []bool{false, true} {
		t.Run(map[bool]string{false: "shared", true: "single"}[single], func(t *testing.T) {
			test(t, func(s *site) { s.single = single })
		})
	}
}

func TestWorker_ServesAndStops(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, `<?php
			$n = 0;
			while (frankenphp_handle_request(function () use (&$n) { $n++; echo "Hello $n ", $_GET['x'] ?? ''; })) {}
			file_put_contents(__DIR__ . '/stopped', $n);`, kind).start()
		w := s.mustLaunch()
		for i := 1; i <= 50; i++ {
			if a := w.get(fmt.Sprintf("/?x=%d", i)); a.body != fmt.Sprintf("Hello %d %d", i, i) || a.status != 200 {
				t.Fatalf("request %d: got %+v", i, a)
			}
			if !w.conn.Reusable() || w.conn.Check() != nil {
				t.Fatalf("request %d: the connection is not reusable", i)
			}
		}
		if err := w.conn.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		w.stop()
		w.waitDone()
	})
}

func TestWorker_ExitLaunchesInTheSameProcess(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, `<?php while (frankenphp_handle_request(function () { echo 'before '; if (isset($_GET['exit'])) { exit('end'); } })) {}`, kind).start()
		w := s.mustLaunch()
		pid := w.PID()
		for range 3 {
			if a := w.get("/"); a.body != "before " {
				t.Errorf("got %+v", a)
			}
			if a := w.get("/?exit"); a.body != "before end" || a.status != 200 {
				t.Errorf("got %+v", a)
			}
			w.waitDone()
			if w.conn.Reusable() {
				t.Error("reusable after the script has ended")
			}
			w = s.mustLaunch()
			if w.PID() != pid {
				t.Errorf("launched in process %d, want %d", w.PID(), pid)
			}
		}
	})
}

// TestWorker_Settings has settings that concern what runs the script itself.
func TestWorker_Settings(t *testing.T) {
	const script = `<?php while (frankenphp_handle_request(function () { error_log('logged'); echo getenv('OWN'), $_SERVER['OWN'] ?? '', defined('PREPENDED') ? PREPENDED : '', json_encode([function_exists('flush'), function_exists('exec'), function_exists('getallheaders'), @file_get_contents('/etc/hostname') === false]); })) {}`
	for name, c := range map[string]struct {
		change func(s *site)
		body   string
	}{
		"none":         {func(*site) {}, "[true,true,true,false]"},
		"open_basedir": {func(s *site) { s.ini("open_basedir", s.dir) }, "[true,true,true,true]"},
		"prepended": {func(s *site) {
			s.write("it's.php", "<?php const PREPENDED = 'own';")
			s.script.Prepend = s.dir + "/it's.php"
		}, "own[true,true,true,false]"},
		"disabled":    {func(s *site) { s.script.Disabled = []string{"exec", "getallheaders"} }, "[true,false,false,false]"},
		"environment": {func(s *site) { s.script.Env = map[string]string{"OWN": "x", "HTTP_PROXY": "y"} }, "xx[true,true,true,false]"},
		"no OPcache":  {func(s *site) { s.ini("opcache.enable", "0") }, "[true,true,true,false]"},
		"user's errors": {func(s *site) {
			s.ini("log_errors", "0")
			s.ini("max_execution_time", "0")
			s.ini("implicit_flush", "1")
		}, "[true,true,true,false]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, script, c.change).start()
			w := s.mustLaunch()
			for range 2 {
				a := w.get("/")
				if a.body != c.body || a.stderr != "logged\n" && !strings.Contains(a.stderr, "open_basedir") {
					t.Errorf("got %q and stderr %q, want %q", a.body, a.stderr, c.body)
				}
			}
		})
	}
}

// TestWorker_OtherUser runs PHP as another user, who reaches the socket and the log.
func TestWorker_OtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, `<?php while (frankenphp_handle_request(function () { error_log('logged'); echo posix_getuid(); })) {}`, kind,
			func(s *site) { s.opts.Credential = &phpbin.Credential{UID: 33, GID: 33} })
		for dir := s.opts.RuntimeDir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		w := s.start().mustLaunch()
		if a := w.get("/"); a.body != "33" || a.stderr != "logged\n" {
			t.Errorf("got %+v", a)
		}
		w.stop()
	})
}
