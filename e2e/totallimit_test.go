//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// totalSite has three pools: requests with the header Pool use the one that it names.
const totalSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	@kept header Pool kept
	@rare header Pool rare
	route {
		php_pool @kept {
			pool kept
		}
		php_pool @rare {
			pool rare
		}
		php_pool {
			pool main
		}
	}
}
`

// TestMaxWorkersTotal lets three pools with room for 13 workers have three.
func TestMaxWorkersTotal(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		global := func(total, ini string) string {
			lines := strings.Join(b.Lines, "\n") + "\nini user_agent " + ini + "\n"
			return "php_pool {\n" + total + "\n" + lines + "pool kept {\nworkers 1\n}\npool main {\nmax_workers 8\n}\npool rare {\nmanager ondemand\nmax_workers 4\n}\n}\n"
		}
		s := harness.Start(t, b, totalSite, harness.Options{Global: global("max_workers_total 3", "a")})
		hold := func(name, pool string) *harness.HeldRequests {
			h := s.Hold(name)
			h.Header = "Pool: " + pool
			h.Add("")
			return h
		}
		first, second := hold("first", "main"), hold("second", "main")
		first.WaitRunning(1)
		second.WaitRunning(1)
		third := hold("third", "main")
		s.WaitPool("waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 && p.Workers.Total == 2 })
		wantTotal(s, 3)
		rare := hold("rare", "rare")
		harness.Eventually(t, func() error {
			if p := s.PoolNamed("rare"); p.Queue.Length != 1 {
				return fmt.Errorf("got %+v", p)
			}
			return nil
		})
		s.Get("/hello.php", "Pool: kept").Want(t, 200, "hello\n")
		s.WaitLogged("requests wait because all pools together have reached max_workers_total", 2)

		first.Release() // third waits longer, but in a pool that has workers
		rare.WaitRunning(1)
		if len(third.Lines("ran")) > 0 {
			t.Error("a fourth worker runs")
		}
		wantTotal(s, 3)
		if b.Name == harness.SingleLean.Name {
			s.WantWorkerProcesses(b, 3)
		}
		rare.Release() // its worker is idle then
		third.WaitRunning(1)
		wantTotal(s, 3)

		// A reload that replaces all workers while scripts run.
		s.Options.Global = global("max_workers_total 3", "b")
		s.MustReload(totalSite)
		for _, pool := range []string{"kept", "main"} {
			if pool == "main" {
				second.Release()
			}
			s.Get("/hello.php", "Pool: "+pool).Want(t, 200, "hello\n")
		}
		third.Release()
		s.Get("/hello.php", "Pool: rare").Want(t, 200, "hello\n")
		for _, h := range []*harness.HeldRequests{first, second, third, rare} {
			h.Want(0, 200)
		}
		wantTotal(s, 3)

		s.Admin("POST", "/php_pool/pools/kept/scale", `{"max_workers": 2}`).
			WantContains(t, 400, "max_workers_total 3 is less than the 4 workers")

		s.Options.Global = global("", "b")
		s.MustReload(totalSite)
		burst := s.Hold("burst")
		for range 8 {
			burst.Add("")
		}
		burst.WaitRunning(8)
		burst.Release()
		for id := range 8 {
			burst.Want(id, 200)
		}
		s.WantNoneFailed()
	})
}

// wantTotal waits until all pools together have at most n workers, and what the status
// says of that is true.
func wantTotal(s *harness.Server, n int) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		var pools []struct {
			Workers  struct{ Total, Stopping int }
			AllPools struct {
				Workers, Max int
			} `json:"all_pools"`
		}
		text := s.Admin("GET", "/php_pool/pools", "").Text
		if err := json.Unmarshal([]byte(text), &pools); err != nil {
			return err
		}
		sum := 0
		for _, p := range pools {
			sum += p.Workers.Total + p.Workers.Stopping
		}
		for _, p := range pools {
			if sum > n || p.AllPools.Workers != sum || p.AllPools.Max != n {
				return fmt.Errorf("want at most %d workers, got %s", n, text)
			}
		}
		return nil
	})
}
