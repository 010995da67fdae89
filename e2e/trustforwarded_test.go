//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestTrustForwarded sends the headers of a TLS front. Of a trusted one PHP sees the
// client's connection; what others say changes nothing, and neither does it without the
// option. doctor and status then name it.
func TestTrustForwarded(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		for _, c := range []struct{ trusted, option bool }{{true, true}, {true, false}, {false, true}} {
			t.Run(fmt.Sprintf("trusted=%v,option=%v", c.trusted, c.option), func(t *testing.T) {
				t.Parallel()
				proxies, option := "192.0.2.0/24", "trust_forwarded off"
				if c.trusted {
					proxies = "127.0.0.0/8"
				}
				if c.option {
					option = "trust_forwarded"
				}
				s := harness.Start(t, b, harness.PoolSite(b, option, "workers 1"), harness.Options{Global: "servers {\ntrusted_proxies static " + proxies + "\ntrusted_proxies_strict\n}\n"})
				want := map[string]string{"HTTPS": "on", "REQUEST_SCHEME": "https", "SERVER_PORT": "8443", "REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": ""}
				if !c.trusted || !c.option {
					want = map[string]string{"HTTPS": "", "REQUEST_SCHEME": "http", "SERVER_PORT": fmt.Sprint(s.Port), "REMOTE_ADDR": "127.0.0.1"}
				}
				req := s.Request("GET", "/server.php", nil)
				for name, value := range map[string]string{"For": "203.0.113.9", "Proto": "https", "Port": "8443", "Host": "shop.example"} {
					req.Header.Set("X-Forwarded-"+name, value)
				}
				res := harness.Do(t, s.Client, req)
				var got map[string]string
				if err := json.Unmarshal([]byte(res.Text), &got); err != nil {
					t.Fatalf("%v: %s", err, res.Text)
				}
				for name, value := range want {
					if got[name] != value {
						t.Errorf("%s: got %q, want %q", name, got[name], value)
					}
				}
				if got["HTTP_HOST"] != fmt.Sprintf("127.0.0.1:%d", s.Port) {
					t.Errorf("got HTTP_HOST %q", got["HTTP_HOST"])
				}
				const hint = "write `trust_forwarded` in the block of php_pool"
				status := phpPool(s, "status").stdout
				if hinted := c.trusted && !c.option; strings.Contains(status, hint) != hinted {
					t.Errorf("hint: want %v, got\n%s", hinted, status)
				}
			})
		}
	})
}
