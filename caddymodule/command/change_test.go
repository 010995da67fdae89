package command

import (
	"slices"
	"testing"
)

func TestRestart_NeedsNamesOrAll(t *testing.T) {
	a := twoPools(t)
	_, err := run(t, "restart", "--address", a.address)
	wantError(t, err, "name of a pool is missing", "--all", "a/b, quiet")
	_, err = run(t, "restart", "--address", "127.0.0.1:1") // no Caddy
	wantError(t, err, "name of a pool is missing", "--all")
	_, err = run(t, "restart", "quiet", "--all", "--address", a.address)
	wantError(t, err, "exclude each other")
	// With an unknown name no pool is restarted.
	_, err = run(t, "restart", "quiet", "absent", "--address", a.address)
	wantError(t, err, "unknown pool absent")
	if got := a.requests("POST"); len(got) > 0 {
		t.Errorf("got requests %q, want none", got)
	}
}

func TestRestart_PrintsGenerations(t *testing.T) {
	out, err := run(t, "restart", "quiet", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	const want = "pool quiet: generation 2 has replaced generation 1 after "
	if len(out) < len(want) || out[:len(want)] != want {
		t.Errorf("got %q, want it to begin with %q", out, want)
	}
}

func TestRestart_ContinuesAfterError(t *testing.T) {
	a := twoPools(t)
	a.responses["POST /php_pool/pools/a%2Fb/restart"] = "409 php.ini is broken"
	out, err := run(t, "restart", "--all", "--address", a.address)
	wantError(t, err, "pool a/b keeps generation 3: php.ini is broken")
	if want := []string{"POST /php_pool/pools/a%2Fb/restart", "POST /php_pool/pools/quiet/restart"}; !slices.Equal(a.requests("POST"), want) {
		t.Errorf("got requests %q, want %q", a.requests("POST"), want)
	}
	if out == "" {
		t.Error("got no output for the pool that was restarted")
	}
}

func TestScale_Request(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"POST /php_pool/pools/x/scale": `{"name":"x","workers":{"max":9},"generation":4,"new_generation":true}`,
		"POST /php_pool/pools/y/scale": `{"name":"y","workers":{"max":1}}`,
	})
	const until = "; valid until the next config is loaded"
	for _, c := range []struct {
		args         []string
		sent, output string
	}{
		{[]string{"x", "--max", "9"}, `x/scale {"max_workers":9}`, "pool x: at most 9 workers; started generation 4, because the previous one had too few slots" + until},
		{[]string{"y", "--min=0"}, `y/scale {"min_workers":0}`, "pool y: at most 1 worker, at least 0" + until},
		{[]string{"y", "--max=1", "--min=1"}, `y/scale {"max_workers":1,"min_workers":1}`, "pool y: at most 1 worker, at least 1" + until},
	} {
		out, err := run(t, append([]string{"scale", "--address", a.address}, c.args...)...)
		if err != nil || out != c.output+"\n" {
			t.Errorf("%q: got error %v and output %q", c.args, err, out)
		}
		if sent := a.requests("POST"); sent[len(sent)-1] != "POST /php_pool/pools/"+c.sent {
			t.Errorf("%q: sent %q, want %q", c.args, sent[len(sent)-1], c.sent)
		}
	}
	_, err := run(t, "scale", "x", "--address", a.address)
	wantError(t, err, "--max and --min are missing")
}

func TestRecycle_ReplacesWorkers(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"GET /php_pool/pools":                        `[{"name":"p q"}]`,
		"DELETE /php_pool/pools/p%20q/workers/3":     `{}`,
		"DELETE /php_pool/pools/p%20q/workers/12345": `{}`,
	})
	out, err := run(t, "recycle", "p q", "3", "4", "12345", "--address", a.address)
	wantError(t, err, "workers/4")
	wantLines(t, out,
		"pool p q: worker 3 is replaced after its request",
		"pool p q: worker 12345 is replaced after its request")
	out, err = run(t, "recycle", "p q", "3", "--force", "--address", a.address)
	if err != nil || out != "pool p q: worker 3 is replaced now\n" {
		t.Errorf("got error %v and output %q", err, out)
	}
	if got := a.requests("DELETE"); got[len(got)-1] != "DELETE /php_pool/pools/p%20q/workers/3?force" {
		t.Errorf("got requests %q", got)
	}
	before := len(a.requests(""))
	_, err = run(t, "recycle", "p q", "3", "first", "--address", a.address)
	wantError(t, err, `invalid worker ID "first"`, "status p q")
	if len(a.requests("")) != before {
		t.Error("got requests after an invalid ID, want none")
	}
}
