package command

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the Caddyfile adapter
)

func TestAdminAddress_FromConfig(t *testing.T) {
	a := twoPools(t)
	for name, args := range map[string][]string{
		"address":         {"--address", a.address},
		"JSON":            {"--config", file(t, "caddy.json", `{"admin":{"listen":"`+a.address+`"}}`)},
		"Caddyfile":       {"--config", file(t, "Caddyfile", "{\n\tadmin "+a.address+"\n}\n")},
		"adapter":         {"--config", file(t, "site.conf", "{\n\tadmin "+a.address+"\n}\n"), "--adapter", "caddyfile"},
		"address over it": {"--address", a.address, "--config", file(t, "caddy.json", `{"admin":{"listen":"127.0.0.1:1"}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, append([]string{"status"}, args...)...)
			if err != nil || !strings.Contains(out, "quiet") {
				t.Errorf("got %v and %s", err, out)
			}
		})
	}
}

func TestAdminAddress_UnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAdmin{responses: map[string]string{"GET /php_pool/pools": "[]"}}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Second}
	go server.Serve(l)
	defer server.Close()
	out, err := run(t, "status", "--address", "unix/"+path)
	if err != nil || !strings.HasPrefix(out, "no pools") {
		t.Errorf("got %v and %s", err, out)
	}
}

func TestClient_CaddyNotRunning(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	for _, args := range [][]string{
		{"status"}, {"top"}, {"restart", "x"}, {"scale", "x", "--max", "3"}, {"recycle", "x", "1"},
	} {
		_, err := run(t, append(args, "--address", address)...)
		wantError(t, err, "no Caddy responds at "+address, "refused", "--config")
	}
}

func TestClient_AdminOff(t *testing.T) {
	path := file(t, "caddy.json", `{"admin":{"disabled":true}}`)
	_, err := run(t, "status", "--config", path)
	wantError(t, err, path, "admin off")
}

func TestClient_ConfigUnreadable(t *testing.T) {
	_, err := run(t, "status", "--config", filepath.Join(t.TempDir(), "absent"))
	wantError(t, err, "absent", "--address")
}

func TestClient_UnknownPool(t *testing.T) {
	a := twoPools(t)
	for _, args := range [][]string{
		{"status", "absent"},
		{"status", "absent", "--json"},
		{"top", "absent"},
		{"restart", "absent"},
		{"scale", "absent", "--max", "3"},
		{"recycle", "absent", "1"},
	} {
		_, err := run(t, append(args, "--address", a.address)...)
		wantError(t, err, "unknown pool absent", "a/b, quiet")
	}
	// An unknown worker of a known pool is another error.
	_, err := run(t, "recycle", "quiet", "1", "--address", a.address)
	wantError(t, err, "unexpected call: DELETE /php_pool/pools/quiet/workers/1")
}

func TestClient_NoPools(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /php_pool/pools": "[]"})
	_, err := run(t, "restart", "x", "--address", a.address)
	wantError(t, err, "unknown pool x", "has no pools")
	none := newAdmin(t, nil)
	_, err = run(t, "status", "--address", none.address)
	wantError(t, err, "no php_pool module")
	other := newAdmin(t, map[string]string{"GET /php_pool/pools": "hello"})
	_, err = run(t, "status", "--address", other.address)
	wantError(t, err, "is not from php_pool")
}

func TestClient_ContextCanceled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts no connection
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cause := errors.New("canceled by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	c := &client{address: l.Addr().String()}
	if _, err := c.pools(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// TestClient_ClosesConnections matters for top, which sends requests every second.
func TestClient_ClosesConnections(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /php_pool/pools": "[]"})
	c := &client{address: a.address}
	for range 3 {
		if _, err := c.pools(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := 0
		a.conns.Range(func(_, state any) bool {
			if state != http.StateClosed {
				left++
			}
			return true
		})
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still open", left)
		}
		<-time.After(time.Millisecond)
	}
}

func TestCommand_Unknown(t *testing.T) {
	_, err := run(t, "stats")
	wantError(t, err, "unknown command php-pool stats")
	if out, err := run(t); err != nil || !strings.Contains(out, "doctor") {
		t.Errorf("no subcommand: got error %v and output %q", err, out)
	}
}
