//go:build linux

package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// xdebug returns the path of Xdebug's extension, which is not installed.
func xdebug(t *testing.T) string {
	t.Helper()
	debs, _ := filepath.Glob(filepath.Join(harness.CacheDir(t), "php*-xdebug_*.deb"))
	if len(debs) == 0 {
		t.Fatalf("Xdebug is missing in %s: run make deps", harness.CacheDir(t))
	}
	name, _, _ := strings.Cut(filepath.Base(debs[len(debs)-1]), "_")
	dir := harness.UnpackDebs(t, name)
	found, _ := filepath.Glob(filepath.Join(dir, "usr/lib/php/*/xdebug.so"))
	if len(found) != 1 {
		t.Fatalf("xdebug.so: found %q", found)
	}
	return found[0]
}

// ide listens as an IDE does, and counts the debug sessions. It ends each at once.
func ide(t *testing.T) (port string, sessions *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	sessions = new(atomic.Int64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			sessions.Add(1)
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port, sessions
}

// TestOPcache_XdebugNotStarted has Xdebug start with every request. The query of the
// OPcache must be no debug session and have no profile. Where only a .user.ini could
// keep Xdebug from starting and PHP reads none, there is no query.
func TestOPcache_XdebugNotStarted(t *testing.T) {
	t.Parallel()
	for _, readsUserINI := range []bool{true, false} {
		name := "reads .user.ini"
		if !readsUserINI {
			name = "reads no .user.ini"
		}
		t.Run(name, func(t *testing.T) {
			harness.ForEach(t, []harness.Backend{harness.SharedLean}, func(t *testing.T, b harness.Backend) {
				port, sessions := ide(t)
				output := harness.TempDir(t)
				harness.ChownToPHP(t, output)
				lines := []string{
					"workers 1", "ini zend_extension " + xdebug(t), "ini xdebug.mode debug,profile", "ini xdebug.start_with_request yes",
					"ini xdebug.client_port " + port, "ini xdebug.output_dir " + output, "ini xdebug.log_level 0",
				}
				if !readsUserINI {
					lines = append(lines, `ini user_ini.filename ""`)
				}
				s := harness.Start(t, b, harness.PoolSite(b, lines...)+"\nhttp://127.0.0.1:{$PORT2} {\n\tmetrics\n}\n")
				before := sessions.Load()
				o := waitOPcache(s, "known", func(o opcacheStatus) bool { return o.Available || o.Reason != "no worker was queried yet: try again" })
				if o.Available != readsUserINI || !o.Available && !strings.Contains(o.Reason, "xdebug would report the query") {
					t.Errorf("got available %v, reason %q", o.Available, o.Reason)
				}
				s.GetFrom(s.Port+1, "/metrics")
				profiles, _ := filepath.Glob(output + "/*")
				if n := sessions.Load() - before; n != 0 || len(profiles) != 0 {
					t.Errorf("the queries were %d debug sessions and wrote %q", n, profiles)
				}
				s.Get("/hello.php").Want(t, 200, "hello\n") // the control
				profiles, _ = filepath.Glob(output + "/*")
				if sessions.Load() == before || len(profiles) == 0 {
					t.Error("a request of the site was no debug session, or had no profile")
				}
			})
		})
	}
}
