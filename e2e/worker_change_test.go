//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// Restarts, reloads with other options, and another size lose no request, while the script
// ends after some requests and others have a body.
func TestWorkerChange_LosesNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 3"), map[string]string{"index.php": `<?php
			for ($i = 0; $i < 50; $i++) { if (!frankenphp_handle_request(function () { echo $_GET['n'], strlen(file_get_contents('php://input')), ' ', $_SERVER['V'] ?? 'none'; })) { break; } }`})
		var stop atomic.Bool
		var sent, resets atomic.Int64
		var clients sync.WaitGroup
		for c := range 4 {
			clients.Go(func() {
				for i := 0; !stop.Load(); i++ {
					n := fmt.Sprintf("%d-%d-", c, i)
					res, err := s.Client.Post(s.URL+"/?n="+n, "text/plain", strings.NewReader(strings.Repeat("x", i%3*40000)))
					if err != nil {
						// In a reload Caddy resets connections that it has not accepted yet, and
						// closes idle ones. Without a response the request may have been served or not.
						if resets.Add(1) > 1000 {
							t.Errorf("request %s: %v", n, err)
							return
						}
						continue
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil {
						t.Errorf("request %s: %v", n, err)
					}
					if want := fmt.Sprint(n, i%3*40000, " "); res.StatusCode != 200 || !strings.HasPrefix(string(body), want) {
						t.Errorf("got %s: %s, want %s", res.Status, body, want)
					}
					sent.Add(1)
				}
			})
		}
		wait := func(n int64) {
			t.Helper()
			from := sent.Load()
			harness.Eventually(t, func() error {
				if got := sent.Load() - from; got < n {
					return fmt.Errorf("%d requests", got)
				}
				return nil
			})
		}
		for i := range harness.Rounds(10) {
			wait(30)
			if err := s.Restart(); err != nil {
				t.Error(err)
			}
			wait(30)
			s.MustReload(workerSite(b, "num 3", fmt.Sprint("env V ", i)))
			wait(10)
			s.Admin("POST", "/php_pool/pools/main/scale", fmt.Sprintf(`{"max_workers": %d}`, 2+i%3))
		}
		stop.Store(true)
		clients.Wait()
		s.WantNoneFailed()
	})
}

// A new variable of the worker takes effect with a reload, in the script and in requests.
func TestWorkerChange_EnvStartsANewGeneration(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	site := func(line string) string { return workerSiteWith(b, []string{"env SITE s"}, "num 1", line) }
	s := startWorker(t, b, site("env V one"), map[string]string{"index.php": `<?php
		$boot = $_SERVER['V'] . getenv('V') . $_SERVER['SITE'];
		while (frankenphp_handle_request(function () use ($boot) { echo $boot, ' ', $_SERVER['V'], $_SERVER['SITE'], ' ', $_SERVER['FRANKENPHP_WORKER']; })) {}`})
	s.Get("/").Want(t, 200, "oneones ones 1")
	s.MustReload(site("env V two"))
	s.Get("/").Want(t, 200, "twotwos twos 1")
	before := s.WaitPool("one without the old worker", func(p harness.PoolStatus) bool { return len(p.List) == 1 })
	s.MustReload(site("env V two"))
	s.WantUnchanged(before)
}

// warmup requests reach the pools of a site that they are for, without one waiting for the
// other.
func TestWorkerChange_Warmup(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"warmup /page /plain.php", "warmup_strict"}, "num 2"), map[string]string{
			"index.php": helloWorker, "plain.php": `<?php file_put_contents(__DIR__ . '/warmed', 'x', FILE_APPEND);`,
		})
		if got := harness.ReadFile(t, filepath.Join(s.Site, "warmed")); got == "" {
			t.Error("the ordinary pool was not warmed up")
		}
		s.Get("/").WantContains(t, 200, "request ")
		harness.WriteFile(t, filepath.Join(s.Site, "index.php"), strings.Replace(helloWorker, "$n++;", "$n++; http_response_code(500);", 1))
		if err := s.Restart(); err == nil || !strings.Contains(err.Error(), "warmup") {
			t.Errorf("restart with a page that fails: %v", err)
		}
	})
}

// isolate confines a worker script as any other.
func TestWorkerChange_Isolate(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"root {$SITE}", "isolate"}, "num 1"), map[string]string{"index.php": `<?php
			while (frankenphp_handle_request(function () {
				error_log('logged');
				echo json_encode([@file_get_contents('/etc/hostname'), function_exists('exec'), strlen(file_get_contents('php://input')), basename(sys_get_temp_dir())]);
			})) {}`})
		for range 3 {
			s.Do(s.Request("POST", "/", strings.NewReader("body"))).Want(t, 200, `[false,false,4,"tmp"]`)
		}
		harness.Eventually(t, func() error {
			if !s.HasLogged("logged") {
				return errors.New("the message of the script is not in the log")
			}
			return nil
		})
		s.WantNoneFailed()
	})
}
