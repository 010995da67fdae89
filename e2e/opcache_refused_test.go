//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestOPcache_Unavailable checks the reason that is given, with PHP's message if
// there is one, and that no worker is discarded.
func TestOPcache_Unavailable(t *testing.T) {
	t.Parallel()
	for _, refused := range []struct {
		name   string
		lines  []string
		reason string
	}{
		{"open_basedir", []string{"ini open_basedir {$SITE}"}, "open_basedir restriction in effect. File(/tmp/php_pool-"},
		{"open_basedir with a log", []string{"ini open_basedir {$SITE}", "ini error_log {$SITE}/php.log"}, "most likely open_basedir forbids it"},
		{"restrict_api", []string{"ini opcache.restrict_api /nowhere"}, `Zend OPcache API is restricted by "restrict_api" configuration directive`},
		{"disable_functions", []string{"ini disable_functions opcache_get_status"}, "disable_functions forbids opcache_get_status or opcache_reset"},
		{"no getenv, no S", []string{"ini disable_functions getenv", "ini variables_order GPC"}, "did not finish: status 404"},
		{"off", []string{"ini opcache.enable 0"}, "opcache.enable is off"},
		{"only files", []string{"ini opcache.file_cache {$SITE}", "ini opcache.file_cache_only 1"}, "there is no cache in memory"},
		{"not loaded", []string{"ini_scan_dir {$SITE}/sub"}, "OPcache is not loaded"},
	} {
		t.Run(refused.name, func(t *testing.T) {
			t.Parallel()
			harness.ForEach(t, []harness.Backend{harness.SharedLean}, func(t *testing.T, b harness.Backend) {
				s := harness.Start(t, b, harness.PoolSite(b, append(refused.lines, "workers 2")...))
				s.Get("/hello.php").Want(t, 200, "hello\n")
				for range 3 {
					o := opcache(s)
					if o.Available || !strings.Contains(o.Reason, refused.reason) || o.Age == nil {
						t.Errorf("got %+v, want the reason %q", o, refused.reason)
					}
				}
				res := s.Admin("DELETE", opcachePath, "")
				text := strings.ReplaceAll(res.Text, `\"`, `"`)
				if res.StatusCode != http.StatusConflict || !strings.Contains(text, refused.reason) {
					t.Errorf("resetting: got %s %s, want 409 and %q", res.Status, res.Text, refused.reason)
				}
				if p := s.Pool(); len(p.Exits) != 0 || p.Requests.Total != 1 {
					t.Errorf("got %+v, want no exit and one request", p)
				}
			})
		})
	}
}

// TestOPcache_WithoutServerVariables has an empty $_SERVER.
func TestOPcache_WithoutServerVariables(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", "ini variables_order GPC"))
	if o := opcache(s); !o.Available {
		t.Errorf("got %+v, want a sample", o)
	}
}

// TestOPcache_PreloadSurvivesQuery checks that preloaded code works after a query,
// for which the worker had OPcache disabled.
func TestOPcache_PreloadSurvivesQuery(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		harness.WriteFile(t, s.Site+"/preload.php", `<?php class Early { static $n = 0; static function up() { return ++self::$n; } }`)
		harness.WriteFile(t, s.Site+"/early.php", `<?php class Late extends Early {} echo Early::up(), Late::up();`)
		err := s.Run(harness.PoolSite(b, "workers 1", freshFiles, "ini opcache.preload {$SITE}/preload.php",
			"ini opcache.preload_user "+harness.PHPUser(t).Username, "ini opcache.jit_buffer_size 16M", "ini opcache.jit tracing"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second query is after a reset
			if o := opcache(s); !o.Available || o.Scripts == 0 {
				t.Errorf("got %+v, want the preloaded script", o)
			}
			for range 5 {
				s.Get("/early.php").Want(t, 200, "12")
			}
			resetOPcache(s)
		}
		if p := s.Pool(); len(p.Exits) != 0 {
			t.Errorf("got exits %v, want none", p.Exits)
		}
	})
}

// countPrepends creates an auto_prepend_file that counts its runs and writes output.
func countPrepends(s *harness.Server) (runs func() int) {
	s.T.Helper()
	harness.WriteFile(s.T, s.Site+"/prepend.php", `<?php echo "\nprepended\n"; file_put_contents(__DIR__ . '/runs', 'x', FILE_APPEND);`)
	return func() int {
		text, err := os.ReadFile(s.Site + "/runs")
		if err != nil && !os.IsNotExist(err) {
			s.T.Error(err)
		}
		return len(text)
	}
}

// sessions returns the number of session files.
func sessions(s *harness.Server) int {
	s.T.Helper()
	files, err := filepath.Glob(s.Site + "/uploads/sess_*")
	if err != nil {
		s.T.Fatal(err)
	}
	return len(files)
}

// TestOPcache_QueryRunsNoSiteCode checks that a query does not run auto_prepend_file,
// auto_append_file or session.auto_start.
func TestOPcache_QueryRunsNoSiteCode(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		runs := countPrepends(s)
		err := s.Run(harness.PoolSite(b, "workers 1", "finish_request off", "ini auto_prepend_file {$SITE}/prepend.php", "ini auto_append_file {$SITE}/prepend.php",
			"ini session.auto_start 1", "ini session.save_path {$SITE}/uploads"))
		if err != nil {
			t.Fatal(err)
		}
		before := sessions(s) // php-cgi was run for its version
		if o := opcache(s); !o.Available || o.Scripts != 0 {
			t.Errorf("got %+v, want a sample of an empty cache", o)
		}
		resetOPcache(s)
		if got := runs(); got != 0 {
			t.Errorf("a query ran the site's code %d times", got)
		}
		if after := sessions(s); after != before {
			t.Errorf("a query created %d sessions", after-before)
		}
		s.Get("/hello.php")
		if after := sessions(s); after != before+1 {
			t.Errorf("a request created %d sessions, want one", after-before)
		}
		if got := runs(); got != 2 {
			t.Errorf("a request ran the site's code %d times, want 2", got)
		}
	})
}

// TestOPcache_QueriesAreCached sends many queries, which run PHP once in ten seconds. With
// .user.ini off, a script before the helper counts them, and writes output.
func TestOPcache_QueriesAreCached(t *testing.T) {
	t.Parallel()
	const queries, clients = 10000, 8
	s := harness.Prepare(t, harness.SharedLean)
	runs := countPrepends(s)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 2", `ini user_ini.filename ""`, "ini auto_prepend_file {$SITE}/prepend.php")); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: clients,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(s.Dir, "admin.sock"))
		},
	}}
	defer client.CloseIdleConnections()
	start := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range queries / clients {
				res, err := client.Do(harness.NewRequest(t, "GET", "http://127.0.0.1"+opcachePath, nil))
				if err != nil {
					t.Error(err)
					return
				}
				harness.Discard(t, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("got %s", res.Status)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if got, most := runs(), 1+int(elapsed/(10*time.Second)); got < 1 || got > most {
		t.Errorf("PHP ran %d queries in %v, want 1 to %d", got, elapsed, most)
	}
	if o := opcache(s); !o.Available {
		t.Errorf("got %+v, want a sample although another script wrote before it", o)
	}
	if p := s.Pool(); p.Requests.Total != 0 {
		t.Errorf("got %d requests, want none", p.Requests.Total)
	}
	t.Logf("%d in %v", queries, elapsed)
}

// TestOPcache_HelperIsNotCallableByClients puts the helper into the document root,
// under a known name.
func TestOPcache_HelperIsNotCallableByClients(t *testing.T) {
	t.Parallel()
	const dir = "php_pool-KNOWN"
	helper := func(s *harness.Server) {
		t.Helper()
		if err := os.Mkdir(s.Site+"/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, s.Site+"/"+dir+"/opcache.php", harness.ReadFile(t, "../caddymodule/opcache/opcache.php"))
	}
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		helper(s)
		if err := s.Run(harness.PoolSite(b, "workers 1")); err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"status", "reset"} {
			value := dir + " " + call
			for _, query := range []string{"", "?PHP_POOL_CALL=" + dir + "+" + call} {
				req := s.Request("GET", "/"+dir+"/opcache.php"+query, nil)
				for _, name := range []string{"PHP_POOL_CALL", "PHP-POOL-CALL", "HTTP_PHP_POOL_CALL", "X-Php-Pool-Call"} {
					req.Header[name] = []string{value}
				}
				req.Header.Set("Cookie", "PHP_POOL_CALL="+dir+"%20"+call)
				harness.Do(t, s.Client, req).Want(t, 404, "")
			}
		}
		if o := opcache(s); o.Restarts.Manual != 0 {
			t.Errorf("got %+v, want nothing reset", o)
		}
	})
	t.Run("with its parameter", func(t *testing.T) { // the control: the helper works if called correctly
		t.Parallel()
		s := harness.Prepare(t, harness.SharedLean)
		helper(s)
		if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", `env PHP_POOL_CALL "`+dir+` status"`)); err != nil {
			t.Fatal(err)
		}
		if got := s.Get("/" + dir + "/opcache.php").Text; !strings.Contains(got, "opcache_statistics") {
			t.Errorf("got %q, want the helper's output", got)
		}
	})
}

// TestOPcache_UnresponsiveWorker stops a worker with SIGSTOP, as a debugger does. The
// query ends no worker, unless a request waits for it.
func TestOPcache_UnresponsiveWorker(t *testing.T) {
	t.Parallel()
	stop := func(t *testing.T, b harness.Backend) (s *harness.Server, pid int) {
		s = harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "health_interval off"))
		pid = s.Pool().List[0].PID
		harness.Kill(t, pid, syscall.SIGSTOP)
		waitOPcache(s, "refused", func(o opcacheStatus) bool { return !o.Available && strings.Contains(o.Reason, "did not respond") })
		s.WaitPool("draining", func(p harness.PoolStatus) bool { return p.Workers.Draining == 1 })
		return s, pid
	}
	t.Run("continues", func(t *testing.T) {
		harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
			s, pid := stop(t, b)
			harness.Kill(t, pid, syscall.SIGCONT)
			p := s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })
			if len(p.Exits) != 0 || p.List[0].PID != pid {
				t.Errorf("got exits %v and worker %d, want none and the same worker %d", p.Exits, p.List[0].PID, pid)
			}
			s.Get("/hello.php").Want(t, 200, "hello\n")
		})
	})
	t.Run("a request waits", func(t *testing.T) {
		harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
			s, pid := stop(t, b)
			s.Get("/hello.php").Want(t, 200, "hello\n")
			s.WantExits(map[string]int{"abandoned": 1})
			if p := s.Pool(); p.Workers.Total != 1 || p.List[0].PID == pid || p.Requests.Failed != 0 {
				t.Errorf("got %+v, want another worker", p)
			}
		})
	})
}

// TestOPcache_QueryDelaysRequestsBriefly: sends queries to the only worker while
// requests come.
func TestOPcache_QueryDelaysRequestsBriefly(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", "max_queue 0", freshFiles))
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		requests := 0
		for {
			select {
			case <-stop:
				done <- requests
				return
			default:
				s.Get("/hello.php").Want(t, 200, "hello\n")
				requests++
			}
		}
	}()
	resets := 0
	harness.Eventually(t, func() error {
		// Unlike the status, a reset always runs a query.
		for range 100 {
			res := s.Admin("DELETE", opcachePath, "")
			if strings.Contains(res.Text, `"workers_reset":1`) {
				resets++
			} else if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
				return fmt.Errorf("got %s %s", res.Status, res.Text)
			}
		}
		if resets < 20 {
			return fmt.Errorf("only %d resets met an idle worker", resets)
		}
		return nil
	})
	close(stop)
	requests := <-done
	t.Logf("%d resets, %d requests", resets, requests)
	p := s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })
	if got := fmt.Sprint(p.Requests.Total, p.Requests.Failed, p.Requests.Rejected); got != fmt.Sprint(requests, 0, 0) {
		t.Errorf("got requests, failed, rejected %s, want %d 0 0", got, requests)
	}
	if len(p.Exits) != 0 {
		t.Errorf("got exits %v, want none", p.Exits)
	}
}
