//go:build linux

package webservers

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// oneListener returns global options with one listener.
func oneListener(address string, options ...string) string {
	return "php_pool {\npool www {\nworkers 1\n}\nfastcgi " + address + " {\npool www\n" + strings.Join(options, "\n") + "\n}\n}\n"
}

// wantHello checks that a listener serves.
func wantHello(t *testing.T, site, address string) {
	t.Helper()
	if got := connect(t, address).roundTrip(get(site, "/hello.php")); got.err != nil || got.body() != "hello" {
		t.Errorf("%s: got %q, error %v", address, got.stdout, got.err)
	}
}

// TestSocket_OwnerAndMode compares the socket with that of php-fpm.
func TestSocket_OwnerAndMode(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a socket to somebody else")
	}
	site := helloSite(t)
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Site: site, Global: oneListener("unix/{$DIR}/php.sock|0620", "owner www-data:adm")})
	if err := s.Run(keptSite); err != nil {
		t.Fatal(err)
	}
	dir := harness.TempDir(t)
	harness.StartFPM(t, dir, harness.Options{Workers: 1, FPMConf: "listen.owner = www-data\nlisten.group = adm\nlisten.mode = 0620\n"})
	describe := func(path string) string {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%v of %d:%d", info.Mode(), owner.Uid, owner.Gid)
	}
	path := filepath.Join(s.Dir, "php.sock")
	if got, want := describe(path), describe(filepath.Join(dir, "fpm.sock")); got != want {
		t.Errorf("got %s, php-fpm has %s", got, want)
	}
	wantHello(t, site, path)
	s.Stop(syscall.SIGTERM)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is there after the end of Caddy: %v", err)
	}
}

// TestSocket_Allow connects from an address that is allowed and from one that is not,
// to the listener and to php-fpm.
func TestSocket_Allow(t *testing.T) {
	t.Parallel()
	site, port := helloSite(t), harness.FreePort(t)
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Site: site, Global: oneListener(fmt.Sprintf("127.0.0.1:%d", port), "allow 127.0.0.1/32")})
	if err := s.Run(keptSite); err != nil {
		t.Fatal(err)
	}
	harness.StartFPM(t, s.Dir, harness.Options{Workers: 1, FPMConf: fpmTCP(port+1) + "listen.allowed_clients = 127.0.0.1\n"})
	for _, server := range []struct {
		name string
		port int
	}{{"listener", port}, {"php-fpm", port + 1}} {
		wantHello(t, site, fmt.Sprintf("127.0.0.1:%d", server.port))
		other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := other.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(harness.MaxWait))
		// It may be closed before the request is written, or reset.
		io.WriteString(conn, get(site, "/hello.php"))
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("%s responds to 127.0.0.2: %q", server.name, got)
		}
	}
	harness.Eventually(t, func() error {
		entries := s.Logged("connection closed because allow does not have its address")
		if len(entries) == 0 || entries[0]["address"] != "127.0.0.2" {
			return fmt.Errorf("got %v, want a log record with 127.0.0.2", entries)
		}
		return nil
	})
}
