package command

import "testing"

const busyWorkers = `[
	{"id":1,"pid":100,"state":"busy","request":{"method":"GET","uri":"/a","script":"/srv/a.php","duration_seconds":2.5},
		"backtrace":["sleep","work /srv/a.php:7","{main} /srv/a.php:9"],"blocked_on":"clock_nanosleep"},
	{"id":2,"pid":101,"state":"idle"},
	{"id":3,"pid":102,"state":"draining","request":{"method":"POST","uri":"/\u001b[2J","script":"/srv/b.php","duration_seconds":70},
		"backtrace_error":"not here"}]`

func TestBacktrace_LongestRequestFirst(t *testing.T) {
	a := twoPools(t)
	a.responses["GET /php_pool/pools/a%2Fb/workers"] = busyWorkers
	a.responses["GET /php_pool/pools/quiet/workers"] = `[]`
	for _, args := range [][]string{{}, {"a/b"}, {"quiet", "a/b"}} {
		out, err := run(t, append([]string{"backtrace", "--address", a.address}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, out,
			"a/b: worker 3, pid 102, draining for 70.0 s: POST /�[2J",
			"  /srv/b.php",
			"  no backtrace: not here",
			"",
			"a/b: worker 1, pid 100, busy for 2.5 s: GET /a",
			"  sleep",
			"  work /srv/a.php:7",
			"  {main} /srv/a.php:9",
			"  now: clock_nanosleep",
		)
	}
	// Without names only pools with busy workers are queried.
	if received := a.requests("GET /php_pool/pools/quiet/workers"); len(received) != 1 {
		t.Errorf("idle pool: got %d requests, want 1", len(received))
	}
	out, err := run(t, "backtrace", "quiet", "--address", a.address)
	if err != nil || out != "no worker is running a script\n" {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = run(t, "backtrace", "absent", "--address", a.address)
	wantError(t, err, "unknown pool absent: the pools are a/b, quiet")
}
