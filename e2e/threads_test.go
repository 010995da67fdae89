//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestThreads changes the option by reloads. GOMAXPROCS in the environment stays the
// maximum.
func TestThreads(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	with := func(value string) string { return "php_pool {\nthreads " + value + "\n}\n" }
	site := harness.PoolSite(b, "workers 1")
	s := harness.Start(t, b, site, harness.Options{Global: with("1"), Env: []string{"GOMAXPROCS=3"}})
	want := func(want string) {
		t.Helper()
		harness.Eventually(t, func() error {
			var p struct{ Threads json.RawMessage }
			if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &p); err != nil {
				return err
			}
			if string(p.Threads) != want {
				return fmt.Errorf("got threads %s, want %s", p.Threads, want)
			}
			return nil
		})
	}
	want(`{"setting":"1","now":1,"max":3}`)
	if got := s.Get("/hello.php").StatusCode; got != 200 {
		t.Errorf("got status %d, want 200", got)
	}
	s.Options.Global = with("64")
	s.MustReload(site)
	want(`{"setting":"64","now":3,"max":3}`)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.Options.Global = with("2")
	if err := s.Reload(site + "http://" + l.Addr().String() + " {\nrespond taken\n}\n"); err == nil {
		t.Error("a config whose port is taken was loaded")
	}
	want(`{"setting":"64","now":3,"max":3}`)

	s.Options.Global = with("auto")
	s.MustReload(site)
	want(`{"setting":"auto","now":3,"max":3}`) // there is no load

	s.Options.Global = with("off")
	s.MustReload(site)
	want("")
}
