//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// fillWorker fills OPcache with scripts, which it writes again for each request, so that
// what was cached before is wasted. When it starts, it notes whether it has OPcache.
const fillWorker = `<?php
function opcache() {
	$s = opcache_get_status(false);
	return ($s['opcache_enabled'] ? 'on' : 'off') . ($s['restart_pending'] ? ' restart pending' : '');
}
file_put_contents(__DIR__ . '/../starts/' . getmypid(), opcache());
while (frankenphp_handle_request(function () {
	for ($i = 0; $i < ($_GET['fill'] ?? 0); $i++) {
		$text = '<?php return [';
		for ($n = 0; $n < 2000; $n++) { $text .= "'" . bin2hex(random_bytes(8)) . "',"; }
		file_put_contents(__DIR__ . "/../scripts/$i.php.new", $text . '];');
		rename(__DIR__ . "/../scripts/$i.php.new", __DIR__ . "/../scripts/$i.php");
		if (count(include __DIR__ . "/../scripts/$i.php") !== 2000) { http_response_code(500); }
	}
	usleep($_GET['sleep'] ?? 0);
	echo opcache();
})) {}`

// TestWorker_OPcacheFull fills an OPcache, which PHP then wants to start again, but cannot
// while requests run that do not end. Workers that start meanwhile have no OPcache: they
// are replaced. PHP kills none of them, and no request fails.
func TestWorker_OPcacheFull(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{
			"ini opcache.enable 1", "ini opcache.memory_consumption 8", "ini opcache.interned_strings_buffer 1", "ini opcache.max_wasted_percentage 1",
			"ini opcache.revalidate_freq 0", "ini opcache.file_update_protection 0",
		}, "num 2"), map[string]string{"index.php": fillWorker, "../scripts/.keep": "", "../starts/.keep": ""})
		s.Get("/").Want(t, 200, "on")
		pending := false
		for i := 0; i < 50 && !pending; i++ {
			res := s.Get("/?fill=20")
			res.WantContains(t, 200, "on")
			pending = strings.Contains(res.Text, "pending")
		}
		if !pending {
			t.Fatal("PHP does not want to restart OPcache")
		}
		// Not both at a time, or PHP could restart it.
		old := s.Pool().List
		harness.Kill(t, old[0].PID, syscall.SIGKILL)
		harness.Eventually(t, func() error {
			// Two at a time, or one worker might get them all.
			var clients sync.WaitGroup
			for range 2 {
				clients.Go(func() {
					if res, err := s.Client.Get(s.URL + "/?sleep=20000"); err != nil || res.Body.Close() != nil || res.StatusCode != 200 {
						t.Errorf("got %v, %v", res, err)
					}
				})
			}
			clients.Wait()
			list := s.Pool().List
			if len(list) != 2 {
				return fmt.Errorf("%d workers", len(list))
			}
			for _, w := range list {
				text, err := os.ReadFile(filepath.Join(s.Site, "../starts", fmt.Sprint(w.PID)))
				if err != nil || string(text) != "on" || w.PID == old[0].PID {
					return fmt.Errorf("the script started in process %d of %v with OPcache %q (%s)", w.PID, list, text, fmt.Sprint(err))
				}
			}
			if res := s.Get("/"); res.Text != "on" {
				return fmt.Errorf("got %q", res.Text)
			}
			return nil
		})
		if p := s.Pool(); p.Exits["crashed"] != 1 || p.Requests.Failed != 0 {
			t.Errorf("got exits %v and %d failed requests, want one crash, that of the test", p.Exits, p.Requests.Failed)
		}
	})
}
