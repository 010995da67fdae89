package command

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3/vt"
)

// refusing returns an address at which nothing listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// addresses returns the flags for these machines.
func addresses(list ...string) (flags []string) {
	for _, address := range list {
		flags = append(flags, "--address", address)
	}
	return flags
}

// squeezed returns the lines with single spaces, because the width of an address varies.
func squeezed(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// wantPrefixes compares the beginnings of lines.
func wantPrefixes(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for i, prefix := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], prefix) {
			t.Fatalf("line %d does not begin with %q:\n%s", i, prefix, strings.Join(lines, "\n"))
		}
	}
}

func TestMachines_Status(t *testing.T) {
	one, two, dead := twoPools(t).address, twoPools(t).address, refusing(t)
	out, err := run(t, append([]string{"status"}, addresses(one, dead, two)...)...)
	if err == nil {
		t.Error("the exit code is 0 although one machine does not respond")
	}
	wantPrefixes(
		t, squeezed(out),
		"HOST POOL PHP MANAGER BUSY IDLE MAX QUEUE REQUESTS FAILED SLOW MASTER EXITS MEMORY",
		one+" a/b 8.4.1 static 2 0 2 5 1000 3 2 1 200 MiB",
		one+" quiet 8.2.36 dynamic 0 2 16 0 7 0 0 0 1.0 MiB",
		dead+" no Caddy responds: dial tcp "+dead,
		two+" a/b 8.4.1",
		two+" quiet 8.2.36",
		"TOTAL 4 4 36 10 2014 6 4 2 402 MiB",
		"",
		one+": a/b: cannot start a worker: php-cgi said: no",
	)
	if !strings.Contains(out, "\n"+two+": a/b: the queue is full") {
		t.Errorf("the problems of the last machine are missing:\n%s", out)
	}

	out, err = run(t, append([]string{"status", "quiet"}, addresses(one, two)...)...)
	if err != nil {
		t.Fatal(err)
	}
	lines := squeezed(out)
	wantPrefixes(t, lines[5:], "HOST POOL ID PID STATE SECONDS CPU TIME MEMORY SERVED REQUEST")
	if got := strings.Count(out, " idle "); got != 4 {
		t.Errorf("got %d workers, want 4:\n%s", got, out)
	}
	if _, err = run(t, append([]string{"status", "absent"}, addresses(one, two)...)...); err == nil {
		t.Error("an unknown pool is accepted")
	}
}

func TestMachines_StatusJSON(t *testing.T) {
	one, dead := twoPools(t).address, refusing(t)
	out, err := run(t, append([]string{"status", "--json"}, addresses(one, dead)...)...)
	if err == nil {
		t.Error("the exit code is 0 although one machine does not respond")
	}
	var byAddress map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &byAddress); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var pools []poolInfo
	if err := json.Unmarshal(byAddress[one], &pools); err != nil || len(pools) != 2 {
		t.Errorf("got %v, %s", err, byAddress[one])
	}
	if got := string(byAddress[dead]); !strings.HasPrefix(got, `{"error":"no Caddy responds: dial tcp`) || len(byAddress) != 2 {
		t.Errorf("got %s in %s", got, out)
	}
}

func TestMachines_Duplicate(t *testing.T) {
	a := twoPools(t)
	for _, address := range []string{a.address, ""} {
		_, err := run(t, append([]string{"restart", "--all"}, addresses(a.address, address)...)...)
		wantError(t, err, `--address "`+address+`"`, "once")
	}
	if got := a.requests("POST"); len(got) > 0 {
		t.Errorf("got requests %q", got)
	}
}

// A machine that accepts connections and says nothing does not hide the others.
func TestMachines_NoResponse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts no connection
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := twoPools(t)
	m := machines{{address: a.address}, {address: l.Addr().String(), limit: 50 * time.Millisecond}}
	pools := make([][]poolInfo, len(m))
	err = m.each(func(i int, c *client) (err error) {
		pools[i], err = c.pools(t.Context())
		return err
	})
	wantError(t, err, "no Caddy responds at "+l.Addr().String(), "no response within 50ms")
	if len(pools[0]) != 2 {
		t.Errorf("got %d pools", len(pools[0]))
	}
}

func TestMachines_Restart(t *testing.T) {
	good := twoPools(t)
	bad := newAdmin(t, map[string]string{
		"GET /php_pool/pools":                "[" + healthyPool + "]",
		"POST /php_pool/pools/quiet/restart": "409 php-cgi said: no",
	})
	last := twoPools(t)
	out, err := run(t, append([]string{"restart", "quiet"}, addresses(good.address, bad.address, last.address)...)...)
	wantError(t, err, bad.address+": pool quiet keeps generation 1: php-cgi said: no")
	wantPrefixes(t, squeezed(out), good.address+": pool quiet: generation 2 has replaced generation 1 after")
	if got := last.requests("POST"); len(got) > 0 {
		t.Errorf("the machine after the error got %q", got)
	}
	before := len(good.requests("POST"))
	dead := refusing(t)
	_, err = run(t, append([]string{"restart", "quiet"}, addresses(good.address, dead)...)...)
	wantError(t, err, "no Caddy responds at "+dead)
	_, err = run(t, append([]string{"restart", "a/b"}, addresses(good.address, bad.address)...)...)
	wantError(t, err, bad.address+": unknown pool a/b")
	if got := len(good.requests("POST")); got != before {
		t.Error("a machine was restarted although another cannot be")
	}
}

func TestMachines_Drain(t *testing.T) {
	one, two := drainAdmin(t), drainAdmin(t)
	out, err := run(t, append([]string{"drain", "one", "--wait", "1m"}, addresses(one.address, two.address)...)...)
	if err != nil {
		t.Fatal(err)
	}
	wantPrefixes(t, squeezed(out), one.address+": pool one: drained after", two.address+": pool one: drained after")
	dead := refusing(t)
	_, err = run(t, append([]string{"drain", "--all", "--undo"}, addresses(one.address, dead)...)...)
	wantError(t, err, "no Caddy responds at "+dead)
	if got := one.requests("DELETE"); len(got) > 0 {
		t.Errorf("got requests %q although a machine does not respond", got)
	}
}

func TestMachines_Backtrace(t *testing.T) {
	admin := func(seconds string) *fakeAdmin {
		return newAdmin(t, map[string]string{
			"GET /php_pool/pools": "[" + busyTwo + "]",
			"GET /php_pool/pools/a%2Fb/workers": `[{"id":7,"pid":200,"state":"busy",
				"request":{"method":"GET","uri":"/","script":"/srv/i.php","duration_seconds":` + seconds + `},"backtrace":["f() /srv/i.php:3"]},
				{"id":8,"state":"idle"}]`,
		})
	}
	one, two, dead := admin("1").address, admin("2").address, refusing(t)
	out, err := run(t, append([]string{"backtrace"}, addresses(one, dead, two)...)...)
	wantError(t, err, "no Caddy responds at "+dead)
	wantLines(t, out,
		two+": a/b: worker 7, pid 200, busy for 2.0 s: GET /", "  f() /srv/i.php:3", "",
		one+": a/b: worker 7, pid 200, busy for 1.0 s: GET /", "  f() /srv/i.php:3")
	out, err = run(t, append([]string{"backtrace"}, addresses(dead)...)...)
	wantError(t, err, "no Caddy responds at "+dead)
	if out != "" {
		t.Errorf("got %q", out)
	}
}

func TestMachines_TopOnce(t *testing.T) {
	one, two, dead := twoPools(t).address, twoPools(t).address, refusing(t)
	out, err := run(t, append([]string{"top", "--interval", "100ms"}, addresses(one, dead, two)...)...)
	if err == nil {
		t.Error("the exit code is 0 although one machine does not respond")
	}
	wantPrefixes(
		t, squeezed(out),
		"2 of 3 machines, 4 pools: 4 busy, 4 idle, at most 36; queue 10; memory 402 MiB; 0 requests/s",
		"",
		"HOST POOL ID PID STATE SECONDS CPU% CPU TIME MEMORY SERVED REQUEST",
		dead+" no Caddy responds: dial tcp",
	)
	if lines := squeezed(out); len(lines) != 12 {
		t.Errorf("got %d lines:\n%s", len(lines), out)
	}
	_, err = run(t, append([]string{"top"}, addresses(dead, refusing(t))...)...)
	wantError(t, err, "no Caddy responds at "+dead)
}

// One machine fails and comes back while the rows of the other change.
func TestMachines_TopScreen(t *testing.T) {
	m := newTopModel(machines{{address: "node1"}, {address: "node2"}})
	m.interval = time.Millisecond
	of := func(machine int, s snapshot) snapshot { s.machine = machine; return s }
	m.update(of(0, snapshotAt(0, poolOf("x", 10, worker(1, 5, 0, 1<<20, 7)))))
	m.update(of(1, snapshotAt(0, poolOf("y", 10, worker(1, 6, 0, 1<<20, 7)))))
	tt := startTop(t, m)
	tt.shows(1, "2 of 2 machines, 2 pools")
	tt.shows(3, "HOST   POOL  ID")
	tt.shows(4, "node2  y      1")
	tt.shows(5, "node1  x      1")

	tt.snapshotOf(1, snapshot{err: &unreachableError{"node2", net.ErrClosed}})
	tt.shows(1, "1 of 2 machines, 1 pool")
	tt.shows(4, "node2  no Caddy responds: use of closed network connection")
	tt.shows(5, "node1  x      1")
	tt.snapshotOf(0, snapshotAt(2, poolOf("x", 50, worker(1, 7, 1, 1<<20, 8))))
	tt.shows(1, "20 requests/s")
	tt.shows(5, "node1  x      1  1001  busy       7.0    50")

	tt.term.KeyTap(vt.KeyP)
	tt.shows(0, "pool x")
	tt.term.KeyTap(vt.KeyP)
	tt.shows(0, "pool y")
	tt.term.KeyTap(vt.KeyP)
	tt.shows(0, "all pools")

	tt.snapshotOf(1, snapshotAt(3, poolOf("y", 10, worker(1, 9, 0, 1<<20, 7))))
	tt.shows(1, "2 of 2 machines, 2 pools")
	tt.shows(4, "node2  y      1  1001  busy       9.0")
	tt.term.KeyTap(vt.KeyQ)
	tt.wantExit()
}
