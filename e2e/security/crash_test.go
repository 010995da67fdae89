//go:build linux

package security

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// frontController runs the whole site. A request for /crash kills its worker, as
// by a segmentation fault of PHP or when the kernel is out of memory.
const frontController = `<?php
if (str_starts_with($_SERVER['REQUEST_URI'], '/crash') || isset($_REQUEST['crash'])) {
	posix_kill(getmypid(), SIGSEGV);
}
echo 'page';
`

// TestQuarantine_NotForOtherVisitors has attackers who request pages of a site that
// crash their workers. With the defaults this must not keep others from the site,
// whichever part of a request it is that makes the front controller crash.
func TestQuarantine_NotForOtherVisitors(t *testing.T) {
	t.Parallel()
	attacks := []string{"/crash", "/?crash=1", "/a?crash=1", "/crash/1", "/crash/2", "/index.php?crash=1"}
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		start := func(t *testing.T, lines ...string) *harness.Server {
			s := harness.Start(t, b, harness.PoolSite(b, lines...))
			harness.WriteFile(t, s.Site+"/index.php", frontController)
			s.Get("/a").Want(t, 200, "page")
			return s
		}
		t.Run("quiet site", func(t *testing.T) {
			s := start(t)
			for _, path := range attacks {
				for range 2 {
					s.Get(path).Want(t, 502, "")
				}
			}
			for _, path := range []string{"/a", "/", "/index.php"} {
				s.Get(path).Want(t, 200, "page")
			}
			if p := s.Pool(); p.Requests.Rejected != 0 || len(p.Quarantined) != 0 {
				t.Errorf("got %+v, want no rejected request and no script in quarantine", p)
			}
		})
		t.Run("busy site", func(t *testing.T) {
			s := start(t, "manager static", "workers 6")
			stop := make(chan struct{})
			var attackers, honest sync.WaitGroup
			var mu sync.Mutex
			var elapsed []time.Duration
			for range 2 {
				honest.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
						}
						begin := time.Now()
						s.Get("/a").Want(t, 200, "page")
						mu.Lock()
						elapsed = append(elapsed, time.Since(begin))
						mu.Unlock()
					}
				})
			}
			for i := range 4 {
				attackers.Go(func() {
					for n := range 12 {
						s.Get(attacks[(i+n)%len(attacks)]).Want(t, 502, "")
					}
				})
			}
			attackers.Wait()
			close(stop)
			honest.Wait()
			slices.Sort(elapsed)
			p := s.Pool()
			t.Logf("%d crashes; %d requests of others: p50 %v, p99 %v, slowest %v", p.Exits["crashed"], len(elapsed),
				elapsed[len(elapsed)/2].Round(time.Millisecond), elapsed[len(elapsed)*99/100].Round(time.Millisecond), elapsed[len(elapsed)-1].Round(time.Millisecond))
			if p.Requests.Rejected != 0 {
				t.Errorf("got %+v, want no rejected request", p)
			}
		})
	})
}
