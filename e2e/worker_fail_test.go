//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// brokenWorkers are worker scripts that never wait for a request, with what the error
// says.
var brokenWorkers = map[string]struct{ script, says string }{
	"syntax error":         {`<?php this is not PHP`, "syntax error"},
	"exception":            {`<?php throw new RuntimeException('no database');`, "Uncaught RuntimeException: no database"},
	"missing class":        {`<?php new App\Kernel();`, `Class "App\Kernel" not found`},
	"exit":                 {`<?php exit(0);`, "it must call frankenphp_handle_request()"},
	"ordinary script":      {`<?php echo 'hello';`, "it must call frankenphp_handle_request()"},
	"memory limit":         {`<?php ini_set('memory_limit', '4M'); $a = str_repeat('x', 1 << 24);`, "Allowed memory size"},
	"killed":               {`<?php posix_kill(getmypid(), 9);`, "signal: killed"},
	"endless loop":         {`<?php while (true) {}`, " within "},
	"waits":                {`<?php sleep(100);`, " within "},
	"missing include":      {`<?php require __DIR__ . '/vendor/autoload.php';`, "vendor/autoload.php"},
	"closes its output":    {`<?php fclose(STDERR ?? fopen('php://stderr', 'w')); exit;`, "STDERR"},
	"logs a message":       {`<?php error_log('the database is down'); exit(1);`, "the database is down"},
	"returns at the start": {`<?php return 5;`, "it must call frankenphp_handle_request()"},
}

// A worker script that does not start makes the load fail with PHP's words, and leaves
// no process.
func TestWorkerBoot_FailsTheLoad(t *testing.T) {
	t.Parallel()
	for name, c := range brokenWorkers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := harness.BothSpawnModes[len(name)%2]
			s := harness.Prepare(t, b)
			harness.WriteFile(t, filepath.Join(s.Site, "index.php"), c.script)
			var options []string
			if c.says == " within " {
				options = []string{"start_timeout 3s"}
			}
			err := s.Run(workerSiteWith(b, options, "num 2"))
			if err == nil {
				t.Fatal("it was loaded")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// A restart that finds a broken script changes nothing, and says why.
func TestWorkerBoot_BrokenRestartKeepsTheOldGeneration(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 2"), map[string]string{"index.php": helloWorker})
		before := s.Pool()
		harness.WriteFile(t, filepath.Join(s.Site, "index.php"), brokenWorkers["exception"].script)
		err := s.Restart()
		if err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("got %v, want PHP's message", err)
		}
		if got := harness.WorkerPIDs(s.Pool()); fmt.Sprint(got) != fmt.Sprint(harness.WorkerPIDs(before)) {
			t.Errorf("the workers changed from %v to %v", harness.WorkerPIDs(before), got)
		}
		s.Get("/").WantContains(t, 200, "GET /")
		if n := s.Pool().Exits["boot_failed"]; n == 0 {
			t.Errorf("got no failed start in %v", s.Pool().Exits)
		}
	})
}

// When no worker can start any more, requests get 503 and the log has PHP's message;
// Caddy goes on, and so does the pool when the script is repaired.
func TestWorkerBoot_LaterFailuresAreRetried(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"ini opcache.revalidate_freq 0"}, "num 2", "max_consecutive_failures 3"), map[string]string{"index.php": helloWorker, "plain.php": `<?php echo 'plain';`})
		harness.WriteFile(t, filepath.Join(s.Site, "index.php"), brokenWorkers["exception"].script)
		for _, w := range s.Pool().List {
			harness.Kill(t, w.PID, syscall.SIGKILL)
		}
		harness.Eventually(t, func() error {
			if res := s.Get("/"); res.StatusCode != http.StatusServiceUnavailable {
				return fmt.Errorf("got %s, want 503", res.Status)
			}
			return nil
		})
		if !s.HasLogged("no database") {
			t.Error("the log does not have PHP's message")
		}
		s.Get("/plain.php").Want(t, 200, "plain")
		if n := s.Pool().Exits["boot_failed"]; n < 3 {
			t.Errorf("got %d failed starts, want at least 3", n)
		}
		harness.WriteFile(t, filepath.Join(s.Site, "index.php"), helloWorker)
		harness.Eventually(t, func() error {
			if res := s.Get("/"); res.StatusCode != http.StatusOK {
				return fmt.Errorf("got %s, want 200", res.Status)
			}
			return nil
		})
	})
}

// A request waits through a few failures if the script can start again meanwhile.
func TestWorkerBoot_RequestsWaitForTheNextStart(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := startWorker(t, b, workerSite(b, "num 1", "max_consecutive_failures -1"), map[string]string{
		"index.php": strings.Replace(helloWorker, "<?php", `<?php if (file_exists(__DIR__ . '/fail')) { throw new Exception('not yet'); }`, 1),
	})
	harness.WriteFile(t, filepath.Join(s.Site, "fail"), "")
	harness.Kill(t, s.Pool().List[0].PID, syscall.SIGKILL)
	done := make(chan *harness.Response, 1)
	s.WaitPool("one whose script has failed four times", func(p harness.PoolStatus) bool { return p.Exits["boot_failed"] >= 2 })
	go func() { done <- s.Get("/waits") }()
	s.WaitPool("one with a request that waits", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 && p.Exits["boot_failed"] >= 4 })
	if err := os.Remove(filepath.Join(s.Site, "fail")); err != nil {
		t.Fatal(err)
	}
	(<-done).WantContains(t, 200, "GET /waits")
}
