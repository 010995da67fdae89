package command

import (
	"slices"
	"strings"
	"testing"
)

const (
	deployedOK   = `{"link":"/srv/current","release":"/srv/releases/2","previous":"/srv/releases/1","pools":["one"],"state":"deployed"}`
	rolledBackOK = `{"link":"/srv/current","release":"/srv/releases/2","previous":"/srv/releases/1","pools":["one"],"state":"rolled back","reason":"by request"}`
)

func deployAdmin(t *testing.T, response string) *fakeAdmin {
	t.Helper()
	return newAdmin(t, map[string]string{
		"GET /php_pool/pools":              "[" + idleOne + "]",
		"GET /php_pool/pools/one":          idleOne,
		"POST /php_pool/pools/one/drain":   idleOne,
		"DELETE /php_pool/pools/one/drain": idleOne,
		"POST /php_pool/deploy":            response,
		"GET /php_pool/deploy":             "[" + rolledBackOK + "]",
	})
}

func TestDeploy_OneMachine(t *testing.T) {
	a := deployAdmin(t, strings.Replace(deployedOK, `"pools"`, `"removed":["/srv/releases/0"],"pools"`, 1))
	out, err := run(t, "deploy", "--address", a.address, "--link", "/srv/current", "--warmup", "/a", "--warmup", "/b", "--keep", "3", "/srv/releases/2")
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, out, a.address+": removed /srv/releases/0", a.address+": /srv/current leads to /srv/releases/2; pool one had been warmed up before")
	want := []string{`POST /php_pool/deploy {"link":"/srv/current","release":"/srv/releases/2","warmup":["/a","/b"],"keep":3}`}
	if got := a.requests("POST"); !slices.Equal(got, want) {
		t.Errorf("got requests %q, want %q", got, want)
	}
}

// A watch that ends with a rollback is an error.
func TestDeploy_Watch(t *testing.T) {
	a := deployAdmin(t, strings.Replace(deployedOK, `"deployed"`, `"watching"`, 1))
	out, err := run(t, "deploy", "--address", a.address, "--watch", "30s", "/srv/releases/2")
	wantError(t, err, "release /srv/releases/2 has been rolled back to /srv/releases/1: by request")
	wantLines(t, out, a.address+": /srv/current leads to /srv/releases/2; watching it for 30s")
	if got := a.requests("POST"); len(got) != 1 || !strings.Contains(got[0], `"watch":"30s"`) {
		t.Errorf("got requests %q", got)
	}
}

// The machines before the one that fails are taken back, the last one first, and no machine
// stays drained. With a machine that does not respond nothing is changed.
func TestDeploy_SeveralMachines(t *testing.T) {
	good, bad, last := deployAdmin(t, deployedOK), deployAdmin(t, "409 pool one: warmup /: got status 500"), deployAdmin(t, deployedOK)
	out, err := run(t, "deploy", "--address", good.address, "--address", bad.address, "--address", last.address, "--drain", "/srv/releases/2")
	wantError(t, err, bad.address+": pool one: warmup /: got status 500")
	if !strings.Contains(out, "leads to /srv/releases/1 again, not to") || !strings.HasSuffix(out, "taken back on 1 machine\n") {
		t.Errorf("got\n%s", out)
	}
	if got := good.requests("POST /php_pool/deploy"); len(got) != 2 || got[1] != `POST /php_pool/deploy {"link":"/srv/current","rollback":true}` {
		t.Errorf("got requests %q", got)
	}
	if got := last.requests("POST"); len(got) > 0 {
		t.Errorf("the last machine got %q", got)
	}
	for _, a := range []*fakeAdmin{good, bad} {
		if drained, undone := len(a.requests("POST /php_pool/pools/one/drain")), len(a.requests("DELETE")); drained == 0 || drained != undone {
			t.Errorf("drained %d times, undone %d times", drained, undone)
		}
	}
	first := deployAdmin(t, deployedOK)
	bad.Close()
	_, err = run(t, "deploy", "--address", first.address, "--address", bad.address, "/srv/releases/2")
	wantError(t, err, "no Caddy responds at "+bad.address)
	if got := first.requests("POST"); len(got) > 0 {
		t.Errorf("the first machine got %q", got)
	}
}
