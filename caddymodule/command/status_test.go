package command

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

func TestStatusShowsThePoolsAndWhatIsWrong(t *testing.T) {
	out, err := run(t, "status", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	head, troubles, _ := strings.Cut(out, "\n\n")
	wantLines(t, head+"\n",
		"POOL   PHP     MANAGER  BUSY  IDLE  MAX  QUEUE  REQUESTS  FAILED  SLOW  MASTER EXITS   MEMORY",
		"a/b    8.4.1   static      2     0    2      5      1000       3     2             1  200 MiB",
		"quiet  8.2.36  dynamic     0     2   16      0         7       0     0             0  1.0 MiB",
	)
	for _, want := range []string{
		"a/b: no worker can be started: php-cgi said: no\n  → run `caddy php-pool doctor`\n",
		"a/b: the line is full: 5 requests wait",
		"a/b: worker 8 runs POST /export for 1234 s (/srv/index.php)\n  → `caddy php-pool backtrace a/b` shows where it is, `caddy php-pool recycle --force a/b 8` ends it",
		"a/b: /srv/bad.php is not run until 2026-11-23T12:00:00Z",
		"a/b: 4 workers crashed",
		"a/b: 9 requests were turned away",
		"a/b: 50 requests had to wait because all 2 workers were busy",
	} {
		if !strings.Contains(troubles, want) {
			t.Errorf("%q is not in:\n%s", want, troubles)
		}
	}
	if n := strings.Count(troubles, "raise max_workers"); n != 1 {
		t.Errorf("one cure is given %d times:\n%s", n, troubles)
	}
	if strings.Contains(troubles, "quiet:") || strings.Contains(troubles, "worker 7") {
		t.Errorf("something is wrong with what is well:\n%s", troubles)
	}
}

func TestStatusOfOnePoolShowsItsWorkersAndNoEscapes(t *testing.T) {
	out, err := run(t, "status", "a/b", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(out, "\n\n")
	wantLines(t, part[1]+"\n",
		"POOL  ID  PID  STATE     SECONDS  CPU TIME   MEMORY  SERVED  REQUEST",
		"a/b    8  201  draining     1234       2.0  3.0 MiB       2  POST /export",
		"a/b    7  200  busy          3.2       9.0  2.0 MiB      10  GET /�[31mred",
	)
	if strings.Contains(out, "quiet") || strings.Contains(out, "\x1b") {
		t.Errorf("got %q", out)
	}
}

func TestStatusAsJSONIsTheAnswer(t *testing.T) {
	a := twoPools(t)
	out, err := run(t, "status", "--json", "--address", a.address)
	if err != nil || out != "["+failingPool+","+healthyPool+"]\n" {
		t.Errorf("got %v and %s", err, out)
	}
	out, err = run(t, "status", "a/b", "--json", "--address", a.address)
	if err != nil || out != failingPool+"\n" {
		t.Errorf("one pool: got %v and %s", err, out)
	}
}

func TestTroublesAreThoseOfThePool(t *testing.T) {
	for want, response := range map[string]string{
		"problem the line is full: 1 request waits, and one more is answered 503": `{"queue":{"length":1,"max":1}}`,
		"note 2 requests wait for a worker; 3 of 3 are busy":                      `{"queue":{"length":2,"max":9},"workers":{"busy":2,"draining":1,"max":3}}`,
		"note 1 worker crashed": `{"exits":{"crashed":1}}`,
		"note 1 request was turned away: the line was full or too slow, or the script quarantined": `{"requests":{"rejected":1}}`,
		"note 10 requests had to wait because all 1 worker were busy":                              `{"workers":{"max":1,"max_reached":10},"requests":{"total":1000}}`,
		"": `{"workers":{"max":1,"max_reached":9},"requests":{"total":1000},"exits":{"recycled":5,"max_requests":4},
			"workers_list":[{"id":1,"request":{"duration_seconds":29.9}}]}`,
	} {
		var p poolInfo
		if err := json.Unmarshal([]byte(response), &p); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range diagnose(&p) {
			got = append(got, string(f.Level)+" "+f.Summary)
			if f.Level != doctor.OK && f.Remedy == "" {
				t.Errorf("%s: no cure", f.Summary)
			}
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: got %q, want %q", response, got, want)
		}
	}
}
