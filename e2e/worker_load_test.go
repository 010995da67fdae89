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
const culpritWorker = `<?php
while (frankenphp_handle_request(function () {
	echo $_GET['n'], ' ', strlen(file_get_contents('php://input'));
	switch ($_GET['do'] ?? '') {
	case 'exit': exit;
	case 'segv': posix_kill(getmypid(), SIGSEGV); sleep(60);
	case 'kill': posix_kill(getmypid(), SIGKILL); sleep(60);
	case 'fatal': eval('class Broken { abstract function f(); }');
	case 'memory': ini_set('memory_limit', '16M'); while (true) { $x[] = str_repeat('x', 100000); }
	case 'time': set_time_limit(1); while (true) {}
	}
})) {}
`

// TestWorker_UnderLoad has one client whose requests end scripts and processes, and a
// restart now and then, beside clients that lose nothing. Scripts are also ended after a
// few requests.
func TestWorker_UnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"max_requests 5"}, "num 4"), map[string]string{"index.php": culpritWorker})
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
		for i := range harness.Rounds(20) {
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
			}
		}
		stop.Store(true)
		clients.Wait()
		t.Logf("%d requests, exits %v", sent.Load(), s.Pool().Exits)
		if p := s.Pool(); p.Exits["max_requests"] == 0 || p.Exits["script_ended"] == 0 || p.Exits["crashed"] == 0 {
			t.Errorf("got exits %v", p.Exits)
		}
	})
}
