//go:build linux

package security

import (
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestUploads_NeverExecuted uses the hardening that was common for nginx:
// cgi.fix_pathinfo=0 makes php-cgi run PATH_TRANSLATED instead of the script,
// unless cgi.discard_path is set.
func TestUploads_NeverExecuted(t *testing.T) {
	t.Parallel()
	for _, fix := range []string{"0", "1"} {
		s := harness.Start(t, harness.SharedLean, harness.PlainSite, harness.Options{INI: [][2]string{{"cgi.fix_pathinfo", fix}}})
		harness.WriteFile(t, s.Site+"/index.php", "<?php echo 'the site';")
		harness.WriteFile(t, s.Site+"/uploads/evil.jpg", "<?php echo 'the upload';")
		for _, path := range []string{
			"/index.php/uploads/evil.jpg", "/uploads/evil.jpg/index.php", "/index.php/uploads/evil.jpg/x.php",
		} {
			if got := s.Get(path).Text; strings.Contains(got, "the upload") {
				t.Errorf("fix_pathinfo %s: %s executed the upload: %s", fix, path, got)
			}
		}
		s.Get("/index.php/uploads/evil.jpg").Want(t, 200, "the site")
	}
}

// TestRouting_ErrorPageRoot serves an error page with php_pool, which has another root than the
// request.
func TestRouting_ErrorPageRoot(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				index off
			}
			handle_errors {
				rewrite /error.php
				php_pool {
					root {$SITE}/sub
				}
			}
		}
	`)
	harness.WriteFile(t, s.Site+"/sub/error.php", "<?php echo 'the error page';")
	s.Get("/missing.php").Want(t, 200, "the error page")
}

func TestStatusPage_AccessControl(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool
			php_pool_status /status
			php_pool_status /wide {
				allow 203.0.113.0/24
			}
		}
	`, harness.Options{Global: "servers {\ntrusted_proxies static 127.0.0.0/8\n}"})
	s.Get("/status?json&full").WantContains(t, 200, `"pool":"default"`, `"processes":[`)
	for _, header := range []string{
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1, 203.0.113.9", "Forwarded: for=127.0.0.1",
		// What proxies add that do not tell the client's address by X-Forwarded-For.
		"X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "x-forwarded-host: example.com", "X-Forwarded: for=x", "Forwarded-For: x",
		"X-Real-IP: 203.0.113.9", "Via: 1.1 x", "X-Client-IP: 203.0.113.9", "Client-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9",
		"CF-Connecting-IP: 203.0.113.9", "Fastly-Client-IP: 203.0.113.9", "Fly-Client-IP: 203.0.113.9", "CDN-Loop: x",
		"X-Cluster-Client-IP: 203.0.113.9", "X-Azure-ClientIP: 203.0.113.9", "X-Original-Forwarded-For: 203.0.113.9",
		"X-Envoy-External-Address: 203.0.113.9", "X-ProxyUser-Ip: 203.0.113.9",
	} {
		if got := s.Get("/status", header).StatusCode; got != 403 {
			t.Errorf("%s: got %d, want 403", header, got)
		}
	}
	for _, header := range []string{"X-Request-Id: 1", "User-Agent: Prometheus", "X-Requested-With: XMLHttpRequest"} {
		if got := s.Get("/status", header).StatusCode; got != 200 {
			t.Errorf("%s: got %d, want 200", header, got)
		}
	}
	if got := s.Get("/wide", "X-Forwarded-For: 203.0.113.9").StatusCode; got != 200 {
		t.Errorf("an address that is allowed: got %d, want 200", got)
	}
	if got := s.Get("/wide", "X-Forwarded-For: 198.51.100.1").StatusCode; got != 403 {
		t.Errorf("an address that is not allowed: got %d, want 403", got)
	}
}
