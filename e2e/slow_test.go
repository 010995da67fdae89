//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestBacktrace_SlowRequestLog checks the backtrace of a slow request, with Caddy as root and
// PHP as another user, and with both as the same user.
func TestBacktrace_SlowRequestLog(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	for name, uid := range map[string]uint32{"as root": 0, "as nobody": nobody} {
		t.Run(name, func(t *testing.T) {
			if os.Getuid() != 0 && uid != 0 {
				t.Skip("only root can become another user")
			}
			harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
				s := harness.Prepare(t, b, harness.Options{UID: uid})
				if uid != 0 {
					harness.Chown(t, s.Dir, int(uid), int(uid))
				}
				if err := s.Run(harness.PoolSite(b, "slow_request 200ms")); err != nil {
					t.Fatal(err)
				}
				held := filepath.Join(s.Site, "held")
				harness.WriteFile(t, held, "")
				response := make(chan *harness.Response, 1)
				go func() { response <- s.Get("/slow.php?file=held") }()
				slow := s.WaitLogged("slow request", 1)
				if err := os.Remove(held); err != nil {
					t.Fatal(err)
				}
				(<-response).Want(t, 200, "worked")

				trace := fmt.Sprint(slow["backtrace"])
				script := regexp.QuoteMeta(s.Site + "/slow.php")
				want := `^\[(usleep |clearstatcache |file_exists )?Wait::until ` + script + `:\d+ work ` + script + `:16 {main} ` + script + `:20\]$`
				if !regexp.MustCompile(want).MatchString(trace) {
					t.Errorf("got the backtrace %s, want %s", trace, want)
				}
				waits, _ := slow["blocked_on"].(string)
				if waits == "" || strings.HasPrefix(waits, "sleeping") {
					t.Errorf("it is blocked on %q, want a system call, or running", waits)
				}
				seconds, _ := slow["duration"].(float64)
				cpu, hasCPU := slow["cpu_seconds"].(float64)
				if slow["uri"] != "/slow.php" || slow["script"] != s.Site+"/slow.php" || seconds < .2 || !hasCPU || cpu > 5 {
					t.Errorf("got %v", slow)
				}
				s.Get("/hello.php").Want(t, 200, "hello\n")
				s.WaitLogged("slow request", 1) // it is not logged again at its end
				if s.HasLogged("PHP backtraces unavailable") {
					t.Error("the log says that there are no backtraces")
				}
			})
		})
	}
}

// TestBacktrace_Depth limits the calls in the log, and in the response of the admin API.
func TestBacktrace_Depth(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := harness.Start(t, b, harness.PoolSite(b, "slow_request 200ms", "backtrace_depth 2"))
	held := filepath.Join(s.Site, "held")
	harness.WriteFile(t, held, "")
	response := make(chan *harness.Response, 1)
	go func() { response <- s.Get("/slow.php?file=held") }()
	logged := fmt.Sprint(s.WaitLogged("slow request", 1)["backtrace"])
	harness.Eventually(t, func() error {
		var list []struct{ Backtrace []string }
		if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main/workers", "").Text), &list); err != nil {
			return err
		}
		for _, w := range list {
			if len(w.Backtrace) == 3 && w.Backtrace[2] == "…" {
				return nil
			}
		}
		return fmt.Errorf("the admin API has %v", list)
	})
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
	(<-response).Want(t, 200, "worked")
	script := regexp.QuoteMeta(s.Site + "/slow.php")
	if want := `^\[\S+ (Wait::until|work) ` + script + `:\d+ …\]$|^\[Wait::until ` + script + `:\d+ work ` + script + `:16 …\]$`; !regexp.MustCompile(want).MatchString(logged) {
		t.Errorf("got the backtrace %s, want %s", logged, want)
	}
}
