//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// warmed returns the URLs that warm.php of a site has logged, by process.
func warmed(t *testing.T, site string) map[int][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(site, "warmed"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	by := map[int][]string{}
	for line := range strings.Lines(string(text)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		_, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		by[pid] = append(by[pid], where)
	}
	return by
}

// TestWarmup_EverySite has three sites that share a pool, one of them below a path and
// with its own root.
func TestWarmup_EverySite(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b, harness.Options{Global: `php_pool {
			pool main {
				manager static
				workers 2
				ini opcache.enable 1
				ini opcache.file_update_protection 0
				` + strings.Join(b.Lines, "\n") + `
				warmup /warm.php?all /opcache.php http://two.test:{$PORT}/app/warm.php?one
			}
		}`})
		caddyfile := `
			http://127.0.0.1:{$PORT} {
				root {$SITE}
				php_pool {
					pool main
				}
			}
			http://two.test:{$PORT}, http://three.test:{$PORT2} {
				root {$SITE}/other
				handle_path /app/* {
					root {$SITE}/app
					php_pool {
						pool main
					}
				}
				php_pool {
					pool main
				}
			}
		`
		roots := []string{s.Site, s.Site + "/app", s.Site + "/other"}
		for _, root := range roots[1:] {
			harness.CopyTree(t, root, harness.Testdata(t, "site"))
		}
		harness.ChownToPHP(t, s.Site)
		// A path is requested with the host of each site, without the port.
		want := [][]string{
			{fmt.Sprintf("127.0.0.1/warm.php?all %s", filepath.Base(s.Site))},
			{fmt.Sprintf("two.test:%d/app/warm.php?one app", s.Port)},
			{"three.test/warm.php?all other", "two.test/warm.php?all other"},
		}
		check := func(workers []int) {
			t.Helper()
			for i, root := range roots {
				by := warmed(t, root)
				for pid := range by {
					slices.Sort(by[pid])
					if !slices.Equal(by[pid], want[i]) || !slices.Contains(workers, pid) {
						t.Errorf("%s: process %d was warmed up with %q, want %q and one of %v", root, pid, by[pid], want[i], workers)
					}
				}
				if n := len(by); n != 1 && b.Name == harness.SharedLean.Name || b.Name == harness.SingleLean.Name && n != len(workers) {
					t.Errorf("%s: %d of the processes %v were warmed up", root, n, workers)
				}
				if err := os.Remove(filepath.Join(root, "warmed")); err != nil {
					t.Error(err)
				}
			}
			var first struct{ Hits int }
			if err := json.Unmarshal([]byte(s.Get("/opcache.php").Text), &first); err != nil || first.Hits < 1 {
				t.Errorf("the first request found an OPcache with %d hits (%v)", first.Hits, err)
			}
		}
		if err := s.Run(caddyfile); err != nil {
			t.Fatal(err)
		}
		check(harness.WorkerPIDs(s.Pool()))
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		check(harness.WorkerPIDs(s.WaitWorkers(b, 2)))
		s.Options.Global = strings.Replace(s.Options.Global, "warmup ", "ini user_agent 1\nwarmup ", 1)
		s.MustReload(caddyfile)
		check(harness.WorkerPIDs(s.WaitWorkers(b, 2)))
		s.MustReload(caddyfile)
		for _, root := range roots {
			if got := warmed(t, root); len(got) > 0 {
				t.Errorf("%s: a reload that keeps the generation warmed up %v", root, got)
			}
		}
		s.WantNoneFailed()
	})
}

// TestWarmup_WarmedWorkersServe lets requests run for a moment after a restart.
// The new generation has to keep the workers that were warmed up. In shared mode any
// worker has the same OPcache, so only single mode is tested.
func TestWarmup_WarmedWorkersServe(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, []harness.Backend{harness.SingleLean}, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3", "warmup /warm.php"))
		var cold []int
		for range 5 { // the moment has to be shorter than a second, which a busy machine may not manage
			h := s.Hold("old")
			for range 3 {
				h.Add("")
			}
			h.WaitRunning(3)
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			h.Release()
			for id := range 3 {
				h.Want(id, 200)
			}
			remove(t, h.File+".ran")
			warm := warmed(t, s.Site)
			cold = slices.DeleteFunc(harness.WorkerPIDs(s.WaitWorkers(b, 3)), func(pid int) bool { return len(warm[pid]) == 1 })
			if len(cold) == 0 {
				return
			}
		}
		t.Errorf("processes %v serve without a warmup", cold)
	})
}

// TestWarmup_Failure checks that a failed warmup keeps the old generation if
// warmup_strict is set, and is only logged otherwise.
func TestWarmup_Failure(t *testing.T) {
	t.Parallel()
	const warning = "warmup failed; continuing (warmup_strict is off)"
	ills := []struct{ ill, says string }{
		{"status", "warmup,/warm.php,503"},
		{"death", "warmup,/warm.php,worker exited during the request"},
		{"message", "warmup,/warm.php,status 500,PHP said: no database"},
		{"half", "warmup,/warm.php,worker exited during the response"},
	}
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for _, strict := range []bool{true, false} {
			t.Run(fmt.Sprint("strict ", strict), func(t *testing.T) {
				t.Parallel()
				site := func(n int) string {
					lines := []string{"manager static", "workers 2", "quarantine off", "warmup /warm.php /hello.php", fmt.Sprint("ini user_agent ", n)}
					if strict {
						lines = append(lines, "warmup_strict")
					}
					return harness.TrafficSite(b, lines...)
				}
				s := harness.Start(t, b, site(0))
				l := s.StartTraffic(checkScript, 3)
				before, mark := s.Pool(), 0
				for i, bad := range ills {
					harness.WriteFile(t, filepath.Join(s.Site, "ill"), bad.ill)
					if !strict {
						l.AllowMark(mark + 1)
					}
					loaded, restarted := s.Reload(site(mark+1)), s.Restart()
					l.WaitRequests(10)
					if strict {
						for _, err := range []error{loaded, restarted} {
							if err == nil {
								t.Fatal("it was taken")
							}
							harness.WantMessage(t, err, strings.Split(bad.says, ","))
						}
						s.WantUnchanged(before)
						continue
					}
					if loaded != nil || restarted != nil {
						t.Fatal(loaded, restarted)
					}
					mark++
					l.RequireMark(mark)
					harness.Eventually(t, func() error {
						for part := range strings.SplitSeq(bad.says, ",") {
							if got := s.Logged(warning); len(got) < 2*(i+1) || !harness.ContainsAny(fmt.Sprint(got[len(got)-1]["error"]), strings.Split(part, "|")) {
								return fmt.Errorf("the log does not say %q: %v", part, got)
							}
						}
						return nil
					})
				}
				remove(t, filepath.Join(s.Site, "ill"))
				l.AllowMark(mark + 1)
				s.MustReload(site(mark + 1))
				l.RequireMark(mark + 1)
				l.Finish()
				s.WaitWorkers(b, 2)
				s.WantNoneFailed()
			})
		}
	})
}

// TestWarmup_StrictFailureAtStart checks that Caddy does not start.
func TestWarmup_StrictFailureAtStart(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{true, false} {
		s := harness.Prepare(t, harness.SharedLean)
		harness.WriteFile(t, filepath.Join(s.Site, "ill"), "status")
		line := ""
		if strict {
			line = "warmup_strict"
		}
		err := s.Run(harness.PoolSite(harness.SharedLean, "warmup /warm.php", line))
		switch {
		case !strict && err != nil:
			t.Error("without warmup_strict:", err)
		case strict && err == nil:
			t.Error("Caddy serves")
		case strict:
			harness.WantMessage(t, err, []string{"warmup", "/warm.php", "503", "not well"})
		}
	}
}

// TestWarmup_Preload preloads a script as the pool's user, or as another one if that is
// root.
func TestWarmup_Preload(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		ways := map[string][]string{"as the pool's user": nil}
		if os.Getuid() == 0 {
			ways["for root"] = []string{"user root", "ini opcache.preload_user www-data"}
		}
		for name, lines := range ways {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := harness.Prepare(t, b)
				preload := func(n int) {
					harness.ReplaceFile(t, s.Site+"/preload.php", fmt.Sprintf("<?php function preloaded() { return 'preloaded %d'; }", n), 0o644)
				}
				preload(1)
				harness.WriteFile(t, s.Site+"/call.php", "<?php echo preloaded();")
				if err := s.Run(harness.PoolSite(b, append(lines, "manager static", "workers 2", "ini opcache.enable 1", "ini opcache.preload {$SITE}/preload.php")...)); err != nil {
					t.Fatal(err)
				}
				s.Get("/call.php").Want(t, 200, "preloaded 1")
				preload(2)
				s.Get("/call.php").Want(t, 200, "preloaded 1")
				if err := s.Restart(); err != nil {
					t.Fatal(err)
				}
				s.Get("/call.php").Want(t, 200, "preloaded 2")
			})
		}
	})
}
