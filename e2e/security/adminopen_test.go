//go:build linux

package security

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAdminEndpoint_AccessFromPHP connects to the admin endpoint from PHP, which runs as
// another user than Caddy. Where that is possible, Caddy logs a warning.
func TestAdminEndpoint_AccessFromPHP(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run PHP as another user")
	}
	// Every pool is named in the warning.
	const twoPools = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool /other/* {
				name other
				manager ondemand
			}
			php_pool {
				name main
				workers 1
			}
		}
	`
	for name, c := range map[string]struct {
		listen, address string
		opens, warns    bool
	}{
		"a unix socket, as docs/hardening.md has it": {"unix/{$DIR}/admin.sock", "unix://DIR/admin.sock", false, false},
		"a unix socket for everybody":                {"unix/{$DIR}/admin.sock|0222", "unix://DIR/admin.sock", true, true},
		"a TCP port":                                 {"127.0.0.1:{$PORT2}", "tcp://127.0.0.1:PORT2", true, true},
		"an abstract socket":                         {"unix/@php_pool-{$PORT2}", "unix://\x00php_pool-PORT2", true, true},
		"none":                                       {"off", "tcp://127.0.0.1:2019", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.SharedLean, twoPools, harness.Options{Global: "admin " + c.listen})
			address := strings.NewReplacer("DIR", s.Dir, "PORT2", fmt.Sprint(s.Port+1)).Replace(c.address)
			harness.WriteFile(t, s.Site+"/admin.php", `<?php
				if (posix_getuid() === 0) exit('PHP is root');
				$socket = @stream_socket_client(base64_decode($_POST['to']), $errno, $error, 5);
				if (!$socket) exit("refused: $errno");
				$host = preg_replace('~^tcp://|^unix.*~s', '', base64_decode($_POST['to']));
				fwrite($socket, "GET /config/ HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n");
				echo strstr(stream_get_contents($socket), "\r", true);`)
			form := url.Values{"to": {base64.StdEncoding.EncodeToString([]byte(address))}}.Encode()
			res := s.Do(s.Request("POST", "/admin.php", strings.NewReader(form), "Content-Type: application/x-www-form-urlencoded"))
			if opened := strings.Contains(res.Text, "HTTP/1.1 200"); opened != c.opens {
				t.Errorf("PHP got %q from %s, want it to be open: %t", res.Text, address, c.opens)
			}
			warnings := 0
			if c.warns {
				warnings = 1
			}
			logged := s.Logged("PHP scripts can connect to the admin endpoint, which can load any config, so they can do everything that Caddy can")
			if len(logged) != warnings {
				t.Errorf("got %d warnings, want %d", len(logged), warnings)
			}
			for _, entry := range logged {
				if got := fmt.Sprint(entry["pools"], entry["users"]); got != "[main other] [www-data]" {
					t.Errorf("got %s", got)
				}
				if remedy := fmt.Sprint(entry["remedy"]); !strings.Contains(remedy, "/admin.sock` in the global options") || !strings.Contains(remedy, "caddy reload --address") {
					t.Errorf("got the remedy %s", remedy)
				}
			}
		})
	}
}
