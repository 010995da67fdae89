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
)

// TestOneOPcacheForAllWorkers is what a shared pool is for.
func TestOneOPcacheForAllWorkers(t *testing.T) {
	t.Parallel()
	s := start(t, sharedLean, plainSite, options{workers: 4, ini: [][2]string{
		{"opcache.enable", "1"},
		{"opcache.file_update_protection", "0"},
	}})
	type answer struct{ PID, Hits, Start int64 }
	var (
		mu   sync.Mutex
		pids = map[int64]bool{}
		born = map[int64]bool{}
		hits int64
	)
	ask := func() {
		var a answer
		if err := json.Unmarshal([]byte(s.get("/opcache.php").body), &a); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		pids[a.PID], born[a.Start] = true, true
		hits = max(hits, a.Hits)
	}
	ask()
	const requests = 40
	eventually(t, func() error {
		var wg sync.WaitGroup
		for range requests {
			wg.Go(ask)
		}
		wg.Wait()
		if len(pids) < 4 {
			return fmt.Errorf("only %d workers answered", len(pids))
		}
		return nil
	})
	if len(pids) != 4 {
		t.Errorf("got answers of %d workers, want 4", len(pids))
	}
	if len(born) != 1 {
		t.Errorf("got %d caches, want 1", len(born))
	}
	// Were the caches separate, none would have counted but its own share.
	if hits < requests-10 {
		t.Errorf("got %d hits in one cache after %d requests", hits, requests)
	}
}

// TestZeroOptions has nothing but the name of the directive.
func TestZeroOptions(t *testing.T) {
	t.Parallel()
	s := start(t, sharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool
			file_server
		}
	`)
	s.get("/hello.php").want(t, 200, "hello\n")
	s.get("/page.html").want(t, 200, "<p>a static page</p>\n")
}

// TestSitesShareAPool gives two sites one named pool, and a third its own.
func TestSitesShareAPool(t *testing.T) {
	t.Parallel()
	for _, b := range spawnOnly {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, b, `
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
			`, options{global: "php_pool {\npool both {\nmanager static\nworkers 1\n" + strings.Join(b.lines, "\n") + "\n}\n}"})
			one := s.get("/pid.php").body
			two := do(t, s.client, newRequest(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/pid.php", s.port+1), nil)).body
			own := s.get("/third/pid.php").body
			if one != two || own == one {
				t.Errorf("got workers %s, %s and %s, want the first two to be one", one, two, own)
			}
		})
	}
}

// TestReloadKeepsTheWorkers loads the same configuration and one with another
// site, while requests go on: none may fail, and no worker changes.
func TestReloadKeepsTheWorkers(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		s := start(t, b, plainSite, options{workers: 1})
		before := s.get("/pid.php").body
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
				if err := s.reload(plainSite + more); err != nil {
					t.Error(err)
				}
			}
		}
		close(stop)
		wg.Wait()
		if after := s.get("/pid.php").body; after != before {
			t.Errorf("worker %s has become %s by a reload", before, after)
		}
	})
}

// tryHello lets a connection be refused or reset: any Caddy does that in a
// reload to those that wait in the queue of the old listener.
func tryHello(s *server) {
	s.t.Helper()
	res, err := s.client.Do(s.request("GET", "/hello.php", nil))
	if err != nil {
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			s.t.Error(err)
		}
		return
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "hello\n" || err != nil {
		s.t.Errorf("got %s %q, %v", res.Status, body, err)
	}
}

// TestReloadEndsNoRequest changes PHP's settings while a script runs: it ends
// as it would have, and the next one has the new settings.
func TestReloadEndsNoRequest(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		s := start(t, b, plainSite, options{ini: [][2]string{{"memory_limit", "100M"}}})
		writeFile(t, s.site+"/limit.php", "<?php echo ini_get('memory_limit');")
		s.get("/limit.php").want(t, 200, "100M")
		answer := s.begin("wait.php")
		s.opts.ini = [][2]string{{"memory_limit", "111M"}}
		if err := s.reload(plainSite); err != nil {
			t.Fatal(err)
		}
		s.get("/limit.php").want(t, 200, "111M")
		s.let()
		wantWaited(t, answer)
	})
}

// TestWhoPHPRunsAs checks that scripts of a Caddy of root are not root's.
func TestWhoPHPRunsAs(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := start(t, b, plainSite)
		writeFile(t, s.site+"/who.php", "<?php echo posix_getuid(), ' ', posix_getgid(), ' ', implode(',', posix_getgroups());")
		u := phpUser(t)
		got := s.get("/who.php").body
		if !strings.HasPrefix(got, u.Uid+" "+u.Gid+" ") {
			t.Errorf("got uid, gid and groups %s, want %s %s", got, u.Uid, u.Gid)
		}
		if os.Getuid() == 0 && slices.Contains(strings.Split(got[strings.LastIndex(got, " ")+1:], ","), "0") {
			t.Errorf("got root's group: %s", got)
		}
	})
}
