package command

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

func TestStatus_PoolsAndProblems(t *testing.T) {
	out, err := run(t, "status", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	head, problems, _ := strings.Cut(out, "\n\n")
	wantLines(t, head+"\n",
		"POOL   PHP     MANAGER  BUSY  IDLE  MAX  QUEUE  REQUESTS  FAILED  SLOW  MASTER EXITS   MEMORY",
		"a/b    8.4.1   static      2     0    2      5      1000       3     2             1  200 MiB",
		"quiet  8.2.36  dynamic     0     2   16      0         7       0     0             0  1.0 MiB",
	)
	for _, want := range []string{
		"a/b: cannot start a worker: php-cgi said: no\n  → run `caddy php-pool doctor`\n",
		"a/b: the queue is full: 5 requests are waiting",
		"a/b: worker 8 has been running POST /export for 1234 s (/srv/index.php)\n  → find out where it is with `caddy php-pool backtrace a/b`, or kill the worker with `caddy php-pool recycle --force a/b 8`",
		"a/b: /srv/bad.php is quarantined until 2026-11-23T12:00:00Z",
		"a/b: 4 workers crashed",
		"a/b: rejected 9 requests: queue full 8, script in quarantine 1",
		"a/b: 50 requests had to wait because all workers were busy (maximum 2)",
	} {
		if !strings.Contains(problems, want) {
			t.Errorf("output lacks %q:\n%s", want, problems)
		}
	}
	if n := strings.Count(problems, "raise max_workers"); n != 1 {
		t.Errorf("a remedy is repeated %d times:\n%s", n, problems)
	}
	if strings.Contains(problems, "quiet:") || strings.Contains(problems, "worker 7") {
		t.Errorf("got a problem of a healthy pool or worker:\n%s", problems)
	}
}

func TestStatus_OnePoolWithoutEscapes(t *testing.T) {
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

func TestStatus_JSON(t *testing.T) {
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

func TestStatus_Ready(t *testing.T) {
	responses := map[string]string{
		"GET /php_pool/pools":            "[" + busyTwo + "," + idleOne + "]",
		"GET /php_pool/pools/one/ping":   "pong",
		"GET /php_pool/pools/a%2Fb/ping": "pong",
	}
	a := newAdmin(t, maps.Clone(responses))
	for want, args := range map[string][]string{
		"pools a/b, one: ready\n": nil,
		"pool one: ready\n":       {"one"},
	} {
		if out, err := run(t, append([]string{"status", "--ready", "--address", a.address}, args...)...); err != nil || out != want {
			t.Errorf("%q: got %q, %v, want %q", args, out, err, want)
		}
	}
	_, err := run(t, "status", "--ready", "absent", "--address", a.address)
	wantError(t, err, "unknown pool absent")
	_, err = run(t, "status", "--ready", "--json", "--address", a.address)
	wantError(t, err, "json", "ready")

	responses["GET /php_pool/pools/a%2Fb/ping"] = "409 draining"
	out, err := run(t, "status", "--ready", "--address", newAdmin(t, responses).address)
	wantError(t, err, "pool a/b is not ready: draining")
	if strings.Contains(out, "pool one") {
		t.Errorf("got %q, want nothing about the pool that is ready", out)
	}
	draining := newAdmin(t, responses).address
	_, err = run(t, "status", "--ready", "one", "--address", draining)
	if err != nil {
		t.Errorf("a pool beside one that is not ready: %v", err)
	}
	out, err = run(t, "status", "--ready", "--address", draining, "--address", a.address)
	wantError(t, err, draining+": pool a/b is not ready: draining")
	if want := a.address + ": pools a/b, one: ready\n"; out != want {
		t.Errorf("two machines: got %q, want %q", out, want)
	}
	_, err = run(t, "status", "--ready", "--address", newAdmin(t, map[string]string{"GET /php_pool/pools": "[]"}).address)
	wantError(t, err, "no pools")
}

func TestStatus_Diagnose(t *testing.T) {
	for want, response := range map[string]string{
		"problem the queue is full: 1 request is waiting, and further ones get 503":                    `{"queue":{"length":1,"max":1}}`,
		"note 2 requests are waiting for a worker; 3 of 3 are busy":                                    `{"queue":{"length":2,"max":9},"workers":{"busy":2,"draining":1,"max":3}}`,
		"note no further worker can be started: all pools together have 8, and max_workers_total is 8": `{"all_pools":{"workers":8,"max":8,"limited":true}}`,
		"note 1 worker crashed":   `{"exits":{"crashed":1}}`,
		"note rejected 1 request": `{"requests":{"rejected":1}}`,
		"note rejected 7 requests: queue full 4, client limit 2, script in quarantine 1": `{"requests":{"rejected":7,"rejections":{"queue_full":4,"client_limit":2,"quarantined":1}}}`,
		"note 10 requests had to wait because all workers were busy (maximum 1)":         `{"workers":{"max":1,"max_reached":10},"requests":{"total":1000}}`,
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
				t.Errorf("%s: no remedy", f.Summary)
			}
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: got %q, want %q", response, got, want)
		}
	}
}

func TestStatus_RejectionRemedy(t *testing.T) {
	for rejections, want := range map[string]string{
		`{"queue_full":1,"client_limit":2,"quarantined":3}`: raiseMaxWorkers,
		`{"client_limit":2,"quarantined":3}`:                "max_per_client",
		`{"quarantined":3}`:                                 "fix the script",
	} {
		var p poolInfo
		if err := json.Unmarshal([]byte(`{"requests":{"rejected":3,"rejections":`+rejections+`}}`), &p); err != nil {
			t.Fatal(err)
		}
		if got := p.rejectionRemedy(); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", rejections, got, want)
		}
	}
}
