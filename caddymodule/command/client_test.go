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

func TestTheAdminAddressIsThatOfTheConfig(t *testing.T) {
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

func TestTheAdminSocketMayBeAUnixSocket(t *testing.T) {
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
	if err != nil || !strings.HasPrefix(out, "no pool") {
		t.Errorf("got %v and %s", err, out)
	}
}

func TestWithoutACaddyTheErrorSaysWhereItLooked(t *testing.T) {
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
		wantError(t, err, "no Caddy answers at "+address, "refused", "--config")
	}
}

func TestAnAdminEndpointThatIsOffIsNamed(t *testing.T) {
	path := file(t, "caddy.json", `{"admin":{"disabled":true}}`)
	_, err := run(t, "status", "--config", path)
	wantError(t, err, path, "admin off")
}

func TestAConfigThatCannotBeReadIsNamed(t *testing.T) {
	_, err := run(t, "status", "--config", filepath.Join(t.TempDir(), "absent"))
	wantError(t, err, "absent", "--address")
}

func TestAPoolThatIsNotThereIsToldFromOthers(t *testing.T) {
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
		wantError(t, err, "there is no pool absent", "a/b, quiet")
	}
	// What is not there in a pool that is there is something else.
	_, err := run(t, "recycle", "quiet", "1", "--address", a.address)
	wantError(t, err, "nothing is known of DELETE /php_pool/pools/quiet/workers/1")
}

func TestACaddyWithoutPoolsSaysSo(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /php_pool/pools": "[]"})
	_, err := run(t, "restart", "x", "--address", a.address)
	wantError(t, err, "there is no pool x", "runs none")
	none := newAdmin(t, nil)
	_, err = run(t, "status", "--address", none.address)
	wantError(t, err, "no php_pool module")
	other := newAdmin(t, map[string]string{"GET /php_pool/pools": "hello"})
	_, err = run(t, "status", "--address", other.address)
	wantError(t, err, "is not php_pool")
}

func TestAnAnswerIsNotWaitedForForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	why := errors.New("patience is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	c := &client{address: l.Addr().String()}
	if _, err := c.pools(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

// TestNoConnectionIsKept: top asks each second.
func TestNoConnectionIsKept(t *testing.T) {
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
			t.Fatalf("%d connections are kept", left)
		}
		<-time.After(time.Millisecond)
	}
}

func TestAnUnknownCommandIsAnError(t *testing.T) {
	_, err := run(t, "stats")
	wantError(t, err, "no command php-pool stats")
	if out, err := run(t); err != nil || !strings.Contains(out, "doctor") {
		t.Errorf("without a command: got %v and %s", err, out)
	}
}
