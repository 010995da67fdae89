//go:build linux

package e2e

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// culpritWorker stops its script or kills its process as the request says.
// The script ends after as many requests as LIMIT says.
const culpritWorker = `<?php
for ($left = $_SERVER['LIMIT']; $left > 0 && frankenphp_handle_request(function () {
	echo $_GET['n'], ' ', strlen(file_get_contents('php://input'));
	switch ($_GET['do'] ?? '') {
	case 'exit': exit;
	case 'segv': posix_kill(getmypid(), SIGSEGV); sleep(60);
	case 'kill': posix_kill(getmypid(), SIGKILL); sleep(60);
	case 'fatal': eval('class Broken { abstract function f(); }');
	case 'memory': ini_set('memory_limit', '16M'); while (true) { $x[] = str_repeat('x', 100000); }
	case 'time': set_time_limit(1); while (true) {}
	}
}); $left--) {}
`

// TestWorker_UnderLoad has one client whose requests end scripts and processes, and a
// restart or another size now and then, beside clients that lose nothing. Scripts are also
// ended, or end, after a few requests. TestWorkerChange_LosesNothing reloads the config.
func TestWorker_UnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("max_requests 5", func(t *testing.T) { t.Parallel(); underLoad(t, "max_requests", 5, 1<<30) })
	t.Run("scripts end after 10 requests", func(t *testing.T) { t.Parallel(); underLoad(t, "script_ended", 1<<30, 10) })
}

func underLoad(t *testing.T, reason string, maxRequests, limit int) {
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		options := []string{fmt.Sprint("max_requests ", maxRequests)}
		s := startWorker(t, b, workerSiteWith(b, options, "num 4", fmt.Sprint("env LIMIT ", limit)), map[string]string{"index.php": culpritWorker})
		var stop atomic.Bool
		var sent atomic.Int64
		var clients sync.WaitGroup
		defer clients.Wait()
		defer stop.Store(true)
		for c := range 4 {
			clients.Go(func() {
				client := harness.NewClient(t)
				for i := 0; !stop.Load(); i++ {
					body := strings.Repeat("x", i%3*40000)
					res, err := client.Post(fmt.Sprintf("%s/?n=%d-%d", s.URL, c, i), "text/plain", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					text, err := io.ReadAll(res.Body)
					res.Body.Close()
					if want := fmt.Sprintf("%d-%d %d", c, i, len(body)); err != nil || res.StatusCode != 200 || string(text) != want {
						t.Errorf("got %s %.200q, %v, want %q", res.Status, text, err, want)
					}
					sent.Add(1)
				}
			})
		}
		rounds := harness.Rounds(10)
		for i := range rounds {
			for _, c := range []struct {
				do     string
				status int
			}{{"exit", 200}, {"segv", 502}, {"kill", 502}, {"fatal", 500}, {"memory", 500}, {"time", 500}} {
				res := s.Do(s.Request("POST", "/?n=culprit&do="+c.do, nil))
				if res.StatusCode != c.status {
					t.Errorf("%s: got %s, want %d", c.do, res.Status, c.status)
				}
			}
			if i%2 == 0 {
				if err := s.Restart(); err != nil {
					t.Error(err)
				}
			} else {
				s.Admin("POST", "/php_pool/pools/main/scale", fmt.Sprintf(`{"max_workers": %d}`, 3+i%4)).WantContains(t, 200, "")
			}
		}
		stop.Store(true)
		clients.Wait()
		t.Logf("%d requests, exits %v", sent.Load(), s.Pool().Exits)
		culprits := map[string]int{"script_ended": 4 * rounds} // by exit, fatal error, memory and time limit
		p := s.Pool()
		if p.Exits["script_ended"] == 0 || p.Exits["crashed"] == 0 {
			t.Errorf("got exits %v", p.Exits)
		}
		if n := sent.Load(); n > 100 && p.Exits[reason] <= culprits[reason] {
			t.Errorf("got exits %v after %d requests, want more by %s", p.Exits, n, reason)
		}
	})
}
