//go:build linux

package security

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestUser_ScriptCannotReachCaddy has a script that runs as another user than Caddy try
// to reach it. The admin endpoint is a unix socket.
func TestUser_ScriptCannotReachCaddy(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	for _, as := range []harness.RunAs{harness.AsRoot, harness.AsCapable} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			s := harness.Prepare(t, harness.SharedLean, harness.Options{RunAs: as})
			harness.CopyTree(t, s.Site, "testdata/customer")
			harness.ChownToPHP(t, s.Site)
			own := filepath.Join(s.Dir, "own") // as private as Caddy makes its directories
			for _, name := range []string{"secret", "junk", "other"} {
				harness.WriteFile(t, filepath.Join(own, name), "secret")
			}
			harness.Chown(t, own, int(s.Options.UID), int(s.Options.UID))
			if err := os.Chmod(own, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1")); err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, s.Site+"/admin.php", "<?php echo @stream_socket_client('unix://"+s.Dir+"/admin.sock') ? 'connected' : 'refused';")
			s.Get("/admin.php").Want(t, 200, "refused")
			closed := harness.FreePort(t)
			var done map[string]bool
			customer{Server: s}.query("attack.php", url.Values{
				"pid": {strconv.Itoa(s.PID)}, "port": {strconv.Itoa(closed)}, "other": {strconv.Itoa(s.Port)},
				"dir": {own}, "file[secret]": {own + "/secret"}, "abstract": {fmt.Sprintf("php_pool-none-%d", closed)},
			}, &done)
			for what, succeeded := range done {
				if succeeded != (what == "connects to another port") && what != "connects by Fast Open" {
					t.Errorf("%s: %t", what, succeeded)
				}
			}
			if s.HasLogged("PHP scripts can connect to the admin endpoint") || s.HasLogged("PHP runs as the same user as Caddy") {
				t.Error("got a warning")
			}
		})
	}
}

// TestConfine_PoolsReachEachOther shows that confine does not separate pools: those of
// one user can reach each other.
func TestConfine_PoolsReachEachOther(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{"confined": "", "off": "confine off"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepareConfined(t)
			site := fmt.Sprintf(`
				http://127.0.0.1:{$PORT} {
					root {$SITE}
					php_pool /state.php {
						name other
						workers 1
						%s
					}
					php_pool {
						name main
						workers 1
						%s
					}
				}
			`, option, option)
			if err := s.Run(site); err != nil {
				t.Fatal(err)
			}
			var state map[string]string
			customer{Server: s}.query("state.php", nil, &state)
			var done map[string]any
			customer{Server: s}.query("neighbour.php", url.Values{"pid": {state["Pid"]}, "dir": {s.Site}, "file[script]": {s.Site + "/state.php"}}, &done)
			for _, what := range []string{"signals", "reads script", "writes"} {
				if done[what] != true {
					t.Errorf("%s: %v, want true: SECURITY.md says so", what, done[what])
				}
			}
		})
	}
}
