package status

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
)

func TestPing_Drained(t *testing.T) {
	serve := func(c net.Conn) { io.Copy(io.Discard, c) }
	one, two := livetest.NewPool(t, 1, serve, nil), livetest.NewPool(t, 1, serve, nil)
	check := func(status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		if err := ServePing(w, Pong, one, two); err != nil {
			t.Fatal(err)
		}
		if w.Code != status || w.Body.String() != body {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body.String(), status, body)
		}
	}
	check(200, "pong")
	two.SetDrained(true)
	check(503, "draining")
	if describePool(one, detail{}).Draining || !describePool(two, detail{}).Draining {
		t.Error("the wrong pool is shown as drained")
	}
	two.SetDrained(false)
	check(200, "pong")
	two.Close()
	if err := ServePing(httptest.NewRecorder(), Pong, one, two); err == nil {
		t.Error("a closed pool can serve")
	}
}

// Only the server knows that shutdown_delay has begun.
func TestPing_ShuttingDown(t *testing.T) {
	for _, down := range []bool{false, true} {
		repl := caddy.NewReplacer()
		repl.Set("http.shutting_down", down)
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl), http.MethodGet, "/", nil)
		if got := shuttingDown(r); got != down {
			t.Errorf("got %v, want %v", got, down)
		}
	}
	if shuttingDown(httptest.NewRequest(http.MethodGet, "/", nil)) {
		t.Error("without a replacer: got true")
	}
}
