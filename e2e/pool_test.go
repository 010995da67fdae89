//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestOPcache_SharedByAllWorkers checks that all workers of a shared pool use one
// OPcache.
func TestOPcache_SharedByAllWorkers(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PlainSite, harness.Options{Workers: 4, INI: [][2]string{
		{"opcache.enable", "1"},
		{"opcache.file_update_protection", "0"},
	}})
	type response struct{ PID, Hits, Start int64 }
	var (
		mu   sync.Mutex
		pids = map[int64]bool{}
		born = map[int64]bool{}
		hits int64
	)
	fetch := func() {
		var a response
		if err := json.Unmarshal([]byte(s.Get("/opcache.php").Text), &a); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		pids[a.PID], born[a.Start] = true, true
		hits = max(hits, a.Hits)
	}
	fetch()
	const requests = 40
	harness.Eventually(t, func() error {
		var wg sync.WaitGroup
		for range requests {
			wg.Go(fetch)
		}
		wg.Wait()
		if len(pids) < 4 {
			return fmt.Errorf("only %d workers responded", len(pids))
		}
		return nil
	})
	if len(pids) != 4 {
		t.Errorf("got responses of %d workers, want 4", len(pids))
	}
	if len(born) != 1 {
		t.Errorf("got %d caches, want 1", len(born))
	}
	// Separate caches would each have a part of the hits.
	if hits < requests-10 {
		t.Errorf("got %d hits in one cache after %d requests", hits, requests)
	}
}

// TestConfig_NoOptions has only the name of the directive.
func TestConfig_NoOptions(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool
			file_server
		}
	`)
	s.Get("/hello.php").Want(t, 200, "hello\n")
	s.Get("/page.html").Want(t, 200, "<p>a static page</p>\n")
}

// TestPool_SharedBySites gives two sites one named pool, and a third its own.
func TestPool_SharedBySites(t *testing.T) {
	t.Parallel()
	for _, b := range harness.BothSpawnModes {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, b, `
				http://127.0.0.1:{$PORT} {
					root {$SITE}
					php_pool {
						pool both
					}
					handle_path /third/* {
						php_pool {
							name own
							manager static
							workers 1
						}
					}
				}
				http://127.0.0.1:{$PORT2} {
					root {$SITE}
					php_pool {
						pool both
					}
				}
			`, harness.Options{Global: "php_pool {\npool both {\nmanager static\nworkers 1\n" + strings.Join(b.Lines, "\n") + "\n}\n}"})
			one := s.Get("/pid.php").Text
			two := harness.Do(t, s.Client, harness.NewRequest(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/pid.php", s.Port+1), nil)).Text
			own := s.Get("/third/pid.php").Text
			if one != two || own == one {
				t.Errorf("got workers %s, %s and %s, want the first two to be one", one, two, own)
			}
		})
	}
}

// TestReload_KeepsWorkers loads the same configuration and one with another
// site, while requests run: none may fail, and the workers stay.
func TestReload_KeepsWorkers(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, harness.Options{Workers: 1})
		before := s.Get("/pid.php").Text
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						tryHello(s)
					}
				}
			})
		}
		for range 3 {
			for _, more := range []string{"", "http://127.0.0.1:{$PORT2} {\nrespond more\n}\n"} {
				if err := s.Reload(harness.PlainSite + more); err != nil {
					t.Error(err)
				}
			}
		}
		close(stop)
		wg.Wait()
		if after := s.Get("/pid.php").Text; after != before {
			t.Errorf("a reload replaced worker %s by %s", before, after)
		}
	})
}

// tryHello requests hello.php. The connection may be reset: in a reload Caddy does
// that to connections in the accept queue of the old listener.
func tryHello(s *harness.Server) {
	s.T.Helper()
	res, err := s.Client.Do(s.Request("GET", "/hello.php", nil))
	if err != nil {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			s.T.Error(err)
		}
		return
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "hello\n" || err != nil {
		s.T.Errorf("got %s %q, %v", res.Status, body, err)
	}
}

// TestReload_RunningRequestsFinish changes PHP's settings while a script runs. It
// keeps the old settings, and the next request has the new ones.
func TestReload_RunningRequestsFinish(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, harness.Options{INI: [][2]string{{"memory_limit", "100M"}}})
		harness.WriteFile(t, s.Site+"/limit.php", "<?php echo ini_get('memory_limit');")
		s.Get("/limit.php").Want(t, 200, "100M")
		response := s.StartBlocked("wait.php")
		s.Options.INI = [][2]string{{"memory_limit", "111M"}}
		if err := s.Reload(harness.PlainSite); err != nil {
			t.Fatal(err)
		}
		s.Get("/limit.php").Want(t, 200, "111M")
		s.Unblock()
		harness.WantUnblocked(t, response)
	})
}

// TestUser_DefaultIsNotRoot checks that scripts do not run as root if Caddy does.
func TestUser_DefaultIsNotRoot(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		harness.WriteFile(t, s.Site+"/who.php", "<?php echo posix_getuid(), ' ', posix_getgid(), ' ', implode(',', posix_getgroups());")
		u := harness.PHPUser(t)
		got := s.Get("/who.php").Text
		if !strings.HasPrefix(got, u.Uid+" "+u.Gid+" ") {
			t.Errorf("got uid, gid and groups %s, want %s %s", got, u.Uid, u.Gid)
		}
		if os.Getuid() == 0 && slices.Contains(strings.Split(got[strings.LastIndex(got, " ")+1:], ","), "0") {
			t.Errorf("got root's group: %s", got)
		}
	})
}
