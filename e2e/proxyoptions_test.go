//go:build linux

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestReverseProxyOptions uses the options that php_fastcgi inherits from reverse_proxy.
func TestReverseProxyOptions(t *testing.T) {
	t.Parallel()
	features(t, []feature{
		{"X-Accel-Redirect has Caddy send the file", `
			root {$SITE}
			PHP {
				@accel header X-Accel-Redirect *
				handle_response @accel {
					root {$SITE}/private
					rewrite {rp.header.X-Accel-Redirect}
					method GET
					file_server
				}
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/accel.php?to=/secret.txt").Want(t, 200, "a private file\n")
			s.Do(s.Request("POST", "/accel.php?to=/secret.txt", strings.NewReader("x"))).Want(t, 200, "a private file\n")
			s.Get("/accel.php?to=/secret.txt", "Range: bytes=2-8").Want(t, 206, "private")
			s.Get("/accel.php?to=/none.txt").Want(t, 404, "")
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}},
		{"copy_response forwards the script's response", `
			root {$SITE}
			PHP {
				@redirects status 302
				handle_response @redirects {
					header X-Was {rp.status_code}
					copy_response 203
				}
				@accel header X-Accel-Redirect *
				handle_response @accel {
					copy_response_headers {
						include X-Script
					}
					respond "to {rp.header.X-Accel-Redirect}" 202
				}
			}
		`, func(t *testing.T, s *harness.Server) {
			res := s.Get("/redirect.php")
			if res.Want(t, 203, ""); res.Header.Get("X-Was") != "302" {
				t.Errorf("got headers %v", res.Header)
			}
			res = s.Get("/accel.php?to=there")
			if res.Want(t, 202, "to there"); res.Header.Get("X-Script") != "said this" {
				t.Errorf("got headers %v", res.Header)
			}
		}},
		{"replace_status", `
			root {$SITE}
			PHP {
				@redirects status 3xx
				replace_status @redirects 418
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/redirect.php").Want(t, 418, "")
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}},
		{"header_up and header_down", `
			root {$SITE}
			PHP {
				header_up X-Up "up {http.request.method}"
				header_up -User-Agent
				header_down X-Down down
				header_down -X-Powered-By
			}
		`, func(t *testing.T, s *harness.Server) {
			res := s.Get("/server.php")
			var vars map[string]any
			if err := json.Unmarshal([]byte(res.Text), &vars); err != nil {
				t.Fatal(err)
			}
			if vars["HTTP_X_UP"] != "up GET" || vars["HTTP_USER_AGENT"] != nil {
				t.Errorf("got HTTP_X_UP %v, HTTP_USER_AGENT %v", vars["HTTP_X_UP"], vars["HTTP_USER_AGENT"])
			}
			if res.Header.Get("X-Down") != "down" || res.Header.Get("X-Powered-By") != "" {
				t.Errorf("got headers %v", res.Header)
			}
		}},
		{"forwarding headers of an untrusted client are replaced", `
			root {$SITE}
			PHP
		`, func(t *testing.T, s *harness.Server) {
			wantForwarded(t, s, "127.0.0.1", "http")
		}},
		{"forwarding headers of a trusted proxy are kept", `
			root {$SITE}
			PHP {
				trusted_proxies 127.0.0.0/8
			}
		`, func(t *testing.T, s *harness.Server) {
			wantForwarded(t, s, "192.0.2.1, 127.0.0.1", "https")
		}},
		{"buffers, timeouts and flushing are accepted", `
			root {$SITE}
			PHP {
				dial_timeout 3s
				read_timeout 20s
				write_timeout 20s
				request_buffers 16KB
				response_buffers 16KB
				flush_interval -1
				capture_stderr
				resolve_root_symlink
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/hello.php").Want(t, 200, "hello\n")
			wantBody(t, s, "POST", 300_000, true)
		}},
	})
}

func wantForwarded(t *testing.T, s *harness.Server, address, proto string) {
	t.Helper()
	vars := s.Vars("/server.php", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.test")
	if vars["HTTP_X_FORWARDED_FOR"] != address || vars["HTTP_X_FORWARDED_PROTO"] != proto {
		t.Errorf("got HTTP_X_FORWARDED_FOR %q, _PROTO %q, want %q, %q", vars["HTTP_X_FORWARDED_FOR"], vars["HTTP_X_FORWARDED_PROTO"], address, proto)
	}
}
