package command

import (
	"slices"
	"testing"
)

func TestRestartWantsNamesOrAll(t *testing.T) {
	a := twoPools(t)
	_, err := run(t, "restart", "--address", a.address)
	wantError(t, err, "which pool", "--all", "a/b, quiet")
	_, err = run(t, "restart", "quiet", "--all", "--address", a.address)
	wantError(t, err, "exclude each other")
	// One name that is wrong restarts none.
	_, err = run(t, "restart", "quiet", "absent", "--address", a.address)
	wantError(t, err, "no pool absent")
	if got := a.requests("POST"); len(got) > 0 {
		t.Errorf("it asked for %q", got)
	}
}

func TestRestartTellsTheGenerations(t *testing.T) {
	out, err := run(t, "restart", "quiet", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	const want = "pool quiet: generation 2 serves, after 1; that took "
	if len(out) < len(want) || out[:len(want)] != want {
		t.Errorf("got %s", out)
	}
}

func TestRestartGoesOnWhenOnePoolCannot(t *testing.T) {
	a := twoPools(t)
	a.responses["POST /php_pool/pools/a%2Fb/restart"] = "409 php.ini is broken"
	out, err := run(t, "restart", "--all", "--address", a.address)
	wantError(t, err, "pool a/b goes on with generation 3: php.ini is broken")
	if want := []string{"POST /php_pool/pools/a%2Fb/restart", "POST /php_pool/pools/quiet/restart"}; !slices.Equal(a.requests("POST"), want) {
		t.Errorf("it asked for %q, want %q", a.requests("POST"), want)
	}
	if out == "" {
		t.Error("nothing is said of the one that could")
	}
}

func TestScaleSendsWhatIsGiven(t *testing.T) {
	a := newAdmin(t, map[string]string{
		"POST /php_pool/pools/x/scale": `{"name":"x","workers":{"max":9},"generation":4,"new_generation":true}`,
		"POST /php_pool/pools/y/scale": `{"name":"y","workers":{"max":1}}`,
	})
	const until = "; this holds until the next config is loaded"
	for _, c := range []struct {
		args       []string
		sent, said string
	}{
		{[]string{"x", "--max", "9"}, `x/scale {"max_workers":9}`, "pool x: at most 9 workers; generation 4 serves, since the one before had no room for so many" + until},
		{[]string{"y", "--min=0"}, `y/scale {"min_workers":0}`, "pool y: at most 1 worker, at least 0" + until},
		{[]string{"y", "--max=1", "--min=1"}, `y/scale {"max_workers":1,"min_workers":1}`, "pool y: at most 1 worker, at least 1" + until},
	} {
		out, err := run(t, append([]string{"scale", "--address", a.address}, c.args...)...)
		if err != nil || out != c.said+"\n" {
			t.Errorf("%q: got %v and %s", c.args, err, out)
		}
		if sent := a.requests("POST"); sent[len(sent)-1] != "POST /php_pool/pools/"+c.sent {
			t.Errorf("%q: sent %q, want %q", c.args, sent[len(sent)-1], c.sent)
		}
	}
	_, err := run(t, "scale", "x", "--address", a.address)
	wantError(t, err, "neither --max nor --min")
}

func TestRecycleReplacesEachWorker(t *testing.T) {
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
		t.Errorf("got %v and %s", err, out)
	}
	if got := a.requests("DELETE"); got[len(got)-1] != "DELETE /php_pool/pools/p%20q/workers/3?force" {
		t.Errorf("it asked for %q", got)
	}
	before := len(a.requests(""))
	_, err = run(t, "recycle", "p q", "3", "first", "--address", a.address)
	wantError(t, err, "first is no worker's id", "status p q")
	if len(a.requests("")) != before {
		t.Error("it asked for something nevertheless")
	}
}
