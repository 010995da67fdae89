//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// healthSite has two pools, a ping of one of them and one of both, and a slow page.
const healthSite = `
	http://127.0.0.1:{$PORT} {
		root {$SITE}
		php_pool_ping /ping
		php_pool_ping /ready * {
			allow all
		}
		php_pool {
			name shop
			workers 2
			%s
		}
	}
	http://127.0.0.1:{$PORT2} {
		root {$SITE}
		php_pool {
			name blog
			workers 1
		}
	}
`

// TestHealth_Drain drains a pool by command. It serves as before, the state is kept over a
// reload, and the ping of the other pool is the same.
func TestHealth_Drain(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, fmt.Sprintf(healthSite, ""))
	check := func(path string, status int, body string) {
		t.Helper()
		s.Get(path).Want(t, status, body)
	}
	drain := func(args ...string) {
		t.Helper()
		phpPool(s, append([]string{"drain"}, args...)...).says(0)
	}
	check("/ping", 200, "pong")
	check("/ready", 200, "pong")
	phpPool(s, "status", "--ready").says(0, "^pools .*: ready\n$")
	drain("blog")
	check("/ping", 200, "pong")
	check("/ready", 503, "draining")
	phpPool(s, "status", "--ready").says(1, "pool blog is not ready: draining")
	phpPool(s, "status", "--ready", "shop").says(0, "^pool shop: ready\n$")
	drain("--all", "--wait", "2m")
	check("/ping", 503, "draining")
	s.Admin("GET", "/php_pool/pools/shop/ping", "").Want(t, 503, "draining")
	s.Get("/hello.php").WantContains(t, 200)
	s.MustReload(fmt.Sprintf(healthSite, "max_requests 50"))
	check("/ping", 503, "draining")
	drain("shop", "--undo")
	check("/ping", 200, "pong")
	check("/ready", 503, "draining")
	drain("--all", "--undo")
	check("/ready", 200, "pong")
}

// TestHealth_DrainWaits waits for the request that runs, and no longer.
func TestHealth_DrainWaits(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2"))
	response := s.StartBlocked("wait.php")
	phpPool(s, "drain", "main", "--wait", "100ms").says(1, "pool main still has 1 request after 100ms: it stays drained")
	done := make(chan *result, 1)
	go func() { done <- phpPool(s, "drain", "main", "--wait", "2m") }()
	s.Unblock()
	harness.WantUnblocked(t, response)
	(<-done).says(0, "pool main: drained after .*; no request is left")
}

// TestHealth_Stopping pings while Caddy waits for its shutdown_delay: nobody should send it
// further requests, but those that arrive are served.
func TestHealth_Stopping(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, fmt.Sprintf(healthSite, ""), harness.Options{Global: "shutdown_delay 10m\n"})
	s.Get("/ping").Want(t, 200, "pong")
	s.Signal(syscall.SIGTERM)
	s.WaitLogged("shutdown scheduled", 1)
	s.Get("/ping").Want(t, 503, "stopping")
	s.Get("/ready").Want(t, 503, "stopping")
	phpPool(s, "status", "--ready").says(1, "is not ready: stopping")
	s.Get("/hello.php").WantContains(t, 200)
	s.Stop(syscall.SIGKILL) // it would wait
}

// TestHealth_Listener asks for the ping page as another web server does.
func TestHealth_Listener(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Global: `
	php_pool {
		pool www {
			workers 1
		}
		fastcgi unix/{$DIR}/php.sock {
			pool www
			ping /ping
		}
	}
	`})
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	ping := func() string {
		t.Helper()
		res, err := harness.DialFastCGI(t, filepath.Join(s.Dir, "php.sock")).Do(false, "", "REQUEST_METHOD", "GET", "SCRIPT_NAME", "/ping", "SCRIPT_FILENAME", "/ping")
		if err != nil {
			t.Fatal(err)
		}
		return res.Stdout
	}
	if got := ping(); !strings.HasSuffix(got, "\r\n\r\npong") || strings.Contains(got, "Status:") {
		t.Errorf("got %q", got)
	}
	phpPool(s, "drain", "www").says(0)
	if got := ping(); !strings.HasSuffix(got, "\r\n\r\ndraining") || !strings.HasPrefix(got, "Status: 503 Service Unavailable\r\n") {
		t.Errorf("drained: got %q", got)
	}
}

// TestProxyStatus_OnlyRefusals tells the balancer to send a request elsewhere only if PHP
// has not got it: an application may respond with 503, too, and may even try to pass for
// php_pool.
func TestProxyStatus_OnlyRefusals(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 1"))
		harness.WriteFile(t, filepath.Join(s.Site, "later.php"), `<?php http_response_code(503); echo 'later';`)
		harness.WriteFile(t, filepath.Join(s.Site, "spoof.php"),
			`<?php http_response_code(503); header('Proxy-Status: php_pool; error=connection_limit_reached'); echo 'spoofed';`)
		for path, body := range map[string]string{"/later.php": "later", "/spoof.php": "spoofed"} {
			res := s.Get(path)
			res.Want(t, 503, body)
			if got := res.Header["Proxy-Status"]; len(got) > 0 {
				t.Errorf("%s: got Proxy-Status %q", path, got)
			}
		}
	})
}
