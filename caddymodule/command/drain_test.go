package command

import (
	"slices"
	"strings"
	"testing"
)

const (
	idleOne = `{"name":"one","workers":{"idle":2},"requests":{"open":0}}`
	busyTwo = `{"name":"a/b","workers":{"busy":1},"requests":{"open":3}}`
)

func drainAdmin(t *testing.T) *fakeAdmin {
	t.Helper()
	return newAdmin(t, map[string]string{
		"GET /php_pool/pools":                "[" + busyTwo + "," + idleOne + "]",
		"GET /php_pool/pools/one":            idleOne,
		"GET /php_pool/pools/a%2Fb":          busyTwo,
		"POST /php_pool/pools/one/drain":     idleOne,
		"POST /php_pool/pools/a%2Fb/drain":   busyTwo,
		"DELETE /php_pool/pools/one/drain":   idleOne,
		"DELETE /php_pool/pools/a%2Fb/drain": busyTwo,
	})
}

func TestDrain_NeedsNamesOrAll(t *testing.T) {
	a := drainAdmin(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "name of a pool is missing: add it, or use --all (pools: a/b, one)"},
		{[]string{"--all", "one"}, "exclude each other"},
		{[]string{"one", "absent"}, "unknown pool absent"},
		{[]string{"one", "--wait=-1s"}, "--wait -1s"},
		{[]string{"one", "--wait=1s", "--undo"}, "wait"},
	} {
		_, err := run(t, append([]string{"drain", "--address", a.address}, c.args...)...)
		wantError(t, err, c.want)
	}
	if got := slices.Concat(a.requests("POST"), a.requests("DELETE")); len(got) > 0 {
		t.Errorf("got requests %q, want none", got)
	}
}

func TestDrain_AllAndUndo(t *testing.T) {
	a := drainAdmin(t)
	out, err := run(t, "drain", "--all", "--address", a.address)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, out, "pools a/b, one: drained; the ping responds with 503")
	if want := []string{"POST /php_pool/pools/a%2Fb/drain", "POST /php_pool/pools/one/drain"}; !slices.Equal(a.requests("POST"), want) {
		t.Errorf("got requests %q, want %q", a.requests("POST"), want)
	}
	out, err = run(t, "drain", "one", "--undo", "--address", a.address)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, out, "pool one: requests may come again")
	if want := []string{"DELETE /php_pool/pools/one/drain"}; !slices.Equal(a.requests("DELETE"), want) {
		t.Errorf("got requests %q, want %q", a.requests("DELETE"), want)
	}
}

func TestDrain_WaitReturnsWhenIdle(t *testing.T) {
	a := drainAdmin(t)
	out, err := run(t, "drain", "one", "--wait", "1m", "--address", a.address)
	if err != nil || !strings.HasPrefix(out, "pool one: drained after ") || !strings.HasSuffix(out, "; no request is left\n") {
		t.Errorf("got %q, %v", out, err)
	}
	if n := len(a.requests("GET /php_pool/pools/one")); n < 3 {
		t.Errorf("looked at the pool %d times, want several", n)
	}
}

func TestDrain_WaitEnds(t *testing.T) {
	a := drainAdmin(t)
	_, err := run(t, "drain", "--all", "--wait", "300ms", "--address", a.address)
	wantError(t, err, "pool a/b still has 3 requests after 300ms: it stays drained", "php-pool top a/b")
	if got := a.requests("DELETE"); len(got) > 0 {
		t.Errorf("got requests %q, want none", got)
	}
}
