//go:build linux

package apps

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// chromium opens a page, lets its scripts run for so many milliseconds of virtual
// time, and returns the resulting DOM.
func chromium(t *testing.T, url string, lasts string) string {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "google-chrome", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		// Ubuntu has Chromium as a snap only, so make deps cannot install it there.
		// Its machines in CI come with Google Chrome.
		release, _ := os.ReadFile("/etc/os-release")
		if strings.Contains(string(release), "ubuntu") && os.Getenv("CI") == "" {
			t.Skip("no Chromium or Google Chrome: install Google Chrome from https://www.google.com/chrome to run this test")
		}
		t.Fatal("no Chromium or Google Chrome: run make deps")
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.MaxWait)
	defer cancel()
	browser := exec.CommandContext(ctx, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--virtual-time-budget="+lasts, "--dump-dom", url)
	var stderr strings.Builder
	browser.Stderr = &stderr
	page, err := browser.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	return string(page)
}

// TestBrowser_StatusPage shows a pool that runs two requests: one with a password in its query,
// one with markup in its URI. Neither may reach the page.
func TestBrowser_StatusPage(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name main
				workers 3
			}
			php_pool {
				name other
			}
			php_pool_status /status main
		}
	`)
	held := s.Hold("page")
	held.Add("password=secret")
	held.WaitRunning(1)
	evil := s.Hold("evil")
	evil.PathInfo = "/<script>document.title='owned'</script>/<img%20src=x%20onerror=document.title='owned'>"
	evil.Add("")
	evil.WaitRunning(1)

	harness.Eventually(t, func() error { // a graph needs two points
		if history := s.Get("/status?history").Text; strings.Count(history, ",") < 20 {
			return fmt.Errorf("the history is short: %s", history)
		}
		return nil
	})
	page := chromium(t, s.URL+"/status", "3000")
	for _, want := range []string{
		`data-pool="main"`, "PHP 8.", "2 busy, 1 idle, max 3", "GET /load/hold.php", `class="busy"`, `class="idle"`, "owned",
		"<b>2</b> busy workers, max 2 in", "95th percentile", `class="limit"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	for _, unwanted := range []string{"secret", `data-pool="other"`, "<title>owned", "<img", `id="status" class="bad"`, "loading…</span>"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	held.Release()
	evil.Release()
	held.Want(0, 200)
	evil.Want(0, 200)
}
