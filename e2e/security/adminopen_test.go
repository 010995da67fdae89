//go:build linux

package security

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
				CONFINE
			}
			php_pool {
				name main
				workers 1
				CONFINE
			}
		}
	`
	open := !canDenyPorts(t) || harness.RunsAs(harness.AsCapable)
	for name, c := range map[string]struct {
		listen, address string
		opens, warns    bool
		option          string
	}{
		"a unix socket, as docs/hardening.md has it": {"unix/{$DIR}/admin.sock", "unix://DIR/admin.sock", false, false, ""},
		"a unix socket for everybody":                {"unix/{$DIR}/admin.sock|0222", "unix://DIR/admin.sock", true, true, ""},
		"a TCP port":                                 {"127.0.0.1:{$PORT2}", "tcp://127.0.0.1:PORT2", open, open, ""},
		"a TCP port, confine off":                    {"127.0.0.1:{$PORT2}", "tcp://127.0.0.1:PORT2", true, true, "confine off"},
		"an abstract socket":                         {"unix/@php_pool-{$PORT2}", "unix://\x00php_pool-PORT2", true, true, ""},
		"none":                                       {"off", "tcp://127.0.0.1:2019", false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.SharedLean, strings.ReplaceAll(twoPools, "CONFINE", c.option), harness.Options{Global: "admin " + c.listen})
			address := strings.NewReplacer("DIR", s.Dir, "PORT2", fmt.Sprint(s.Port+1)).Replace(c.address)
			harness.WriteFile(t, s.Site+"/admin.php", `<?php
				if (posix_getuid() === 0) exit('PHP is root');
				$socket = @stream_socket_client(base64_decode($_POST['to']), $errno, $error, 5);
				if (!$socket) exit("refused: $errno");
				$host = preg_replace('~^tcp://|^unix.*~s', '', base64_decode($_POST['to']));
				fwrite($socket, "GET /config/ HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n");
				echo strstr(stream_get_contents($socket), "\r", true);`)
			id := filepath.Join(s.Dir, "id")
			harness.WriteFile(t, id, harness.ReadFile(t, "/usr/bin/id"))
			if err := os.Chmod(id, os.ModeSetuid|0o755); err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, s.Site+"/setuid.php", "<?php @mkdir('made'); touch('made/a'); echo trim(shell_exec('"+id+" -u')), rename('made/a', __DIR__.'/b') ? ' moved' : '';")
			harness.ChownToPHP(t, s.Site)
			form := url.Values{"to": {base64.StdEncoding.EncodeToString([]byte(address))}}.Encode()
			res := s.Do(s.Request("POST", "/admin.php", strings.NewReader(form), "Content-Type: application/x-www-form-urlencoded"))
			if opened := strings.Contains(res.Text, "HTTP/1.1 200"); opened != c.opens {
				t.Errorf("PHP got %q from %s, want it to be open: %t", res.Text, address, c.opens)
			}
			if res := s.Get("/setuid.php"); res.Text != "0 moved" {
				t.Errorf("got %q, want a setuid program that has worked, and a file in another directory", res.Text)
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

// canDenyPorts reports whether a Caddy that is root can keep PHP from a TCP port: Landlock
// has version 4, and it has CAP_SYS_ADMIN.
func canDenyPorts(t *testing.T) bool {
	t.Helper()
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	capabilities, err := strconv.ParseUint(status(t, os.Getpid())["CapEff"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return errno == 0 && abi >= 4 && capabilities>>unix.CAP_SYS_ADMIN&1 == 1
}
