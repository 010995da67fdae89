package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// worker returns a worker that has been running a request for so many seconds, or
// an idle one if they are negative.
func worker(id uint64, seconds, cpu float64, memory int64, requests int) workerInfo {
	w := workerInfo{ID: id, PID: int(id) + 1000, State: "idle", CPU: cpu, Memory: &memory, Requests: requests}
	if seconds >= 0 {
		w.State, w.Request = "busy", &requestInfo{Method: "GET", URI: fmt.Sprint("/", id), Duration: seconds}
	}
	return w
}

// snapshotAt returns a snapshot, so many seconds after the first.
func snapshotAt(seconds float64, pools ...poolInfo) snapshot {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
	return snapshot{time: at, pools: pools}
}

func poolOf(name string, requests uint64, workers ...workerInfo) poolInfo {
	p := poolInfo{Name: name, WorkersList: workers}
	p.Requests.Total = requests
	p.Workers.Idle, p.Workers.Max = len(workers), 9
	return p
}

// ids returns the IDs of the workers in their order.
func ids(m *topModel) []uint64 {
	var list []uint64
	for _, r := range m.rows() {
		list = append(list, r.ID)
	}
	return list
}

func TestTop_SortKeys(t *testing.T) {
	m := newTopModel(machines{{}})
	m.update(snapshotAt(0, poolOf("x", 0, worker(1, -1, 0, 10, 1), worker(2, 5, 0, 40, 2), worker(3, 50, 0, 20, 3), worker(4, -1, 0, 30, 9))))
	m.update(snapshotAt(1, poolOf("x", 0, worker(1, -1, 0.9, 10, 1), worker(2, 6, 0, 40, 2), worker(3, 51, 0.2, 20, 3), worker(4, -1, 0, 30, 9))))
	for _, c := range []struct {
		key  string
		want []uint64
	}{
		{"", []uint64{3, 2, 1, 4}},
		{"c", []uint64{1, 3, 2, 4}},
		{"m", []uint64{2, 4, 3, 1}},
		{"r", []uint64{4, 3, 2, 1}},
		{"s", []uint64{3, 2, 1, 4}},
		{"x", []uint64{3, 2, 1, 4}}, // an unassigned key
	} {
		if quit, refresh := m.handleKey(c.key); quit || refresh {
			t.Errorf("key %q: got quit %v, refresh %v", c.key, quit, refresh)
		}
		if got := ids(m); !slices.Equal(got, c.want) {
			t.Errorf("key %q: got workers %v, want %v", c.key, got, c.want)
		}
	}
	for _, key := range []string{"q", "Esc", "Ctrl-C"} {
		if quit, _ := m.handleKey(key); !quit {
			t.Errorf("%s does not quit", key)
		}
	}
}

func TestTop_CPUPercent(t *testing.T) {
	m := newTopModel(machines{{}})
	percent := func() string {
		r := m.rows()[0]
		return fmt.Sprint(r.hasPercent, " ", r.percent)
	}
	for i, c := range []struct {
		seconds, cpu float64
		want         string
	}{
		{0, 10, "false 0"}, // unknown after one snapshot
		{1, 10.5, "true 50"},
		{2, 11.5, "true 75"},
		{3, 13, "true 100"},
		{4, 13.5, "true 100"}, // without the oldest: 3 s in 3 s
	} {
		m.update(snapshotAt(c.seconds, poolOf("x", 0, worker(1, 1, c.cpu, 0, 0))))
		if got := percent(); got != c.want {
			t.Errorf("snapshot %d: got %s, want %s", i, got, c.want)
		}
	}
	// Another process has the worker ID now.
	w := worker(1, 1, 0.1, 0, 0)
	w.PID++
	m.update(snapshotAt(5, poolOf("x", 0, w)))
	if got := percent(); got != "false 0" {
		t.Errorf("another process: got %s", got)
	}
}

func TestTop_NextPool(t *testing.T) {
	m := newTopModel(machines{{}})
	m.update(snapshotAt(0, poolOf("x", 0, worker(1, 1, 0, 0, 0)), poolOf("y", 0, worker(2, 1, 0, 0, 0), worker(3, 1, 0, 0, 0))))
	for _, c := range []struct {
		pool string
		want []uint64
	}{{"x", []uint64{1}}, {"y", []uint64{2, 3}}, {"", []uint64{1, 2, 3}}, {"x", []uint64{1}}} {
		if _, refresh := m.handleKey("p"); !refresh || m.pool != c.pool {
			t.Errorf("got pool %q, want %q", m.pool, c.pool)
		}
		if got := ids(m); !slices.Equal(got, c.want) {
			t.Errorf("pool %q: got workers %v, want %v", c.pool, got, c.want)
		}
	}
	// A snapshot of one pool does not remove the others from the list.
	m.update(snapshotAt(1, poolOf("x", 0, worker(1, 1, 0, 0, 0))))
	m.handleKey("p")
	if m.pool != "y" {
		t.Errorf("got pool %q after x, want y", m.pool)
	}
}

func TestTop_Summary(t *testing.T) {
	m := newTopModel(machines{{}})
	one, two := poolOf("x", 100, worker(1, -1, 0, 1<<20, 0)), poolOf("y", 10, worker(2, -1, 0, 1<<20, 0))
	one.Queue.Length = 3
	m.update(snapshotAt(0, one, two))
	one.Requests.Total, two.Requests.Total = 160, 30
	if got, want := m.summary(), "2 pools: 0 busy, 2 idle, at most 18; queue 3; memory 2.0 MiB"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	m.update(snapshotAt(2, one, two))
	if got, want := m.summary(), "2 pools: 0 busy, 2 idle, at most 18; queue 3; memory 2.0 MiB; 40 requests/s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	m.handleKey("p")
	if got, want := m.summary(), "1 pool: 0 busy, 1 idle, at most 9; queue 3; memory 1.0 MiB; 30 requests/s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTop_RenderHeights(t *testing.T) {
	m := newTopModel(machines{{}})
	m.interval = time.Second
	var workers []workerInfo
	for id := range uint64(20) {
		workers = append(workers, worker(id+1, float64(100-id), 0, 0, 0))
	}
	m.update(snapshotAt(0, poolOf("x", 0, workers...)))
	for height := range 40 {
		lines := m.render(height)
		if len(lines) != max(1, height) {
			t.Errorf("height %d: got %d lines", height, len(lines))
		}
		if last := lines[len(lines)-1].text; !strings.Contains(last, "q quit") {
			t.Errorf("height %d: the last line is %q", height, last)
		}
	}
	lines := m.render(10)
	if !strings.Contains(lines[4].text, "GET /1") || lines[3].style != header || lines[4].style != alert {
		t.Errorf("got %+v", lines)
	}
	visible := func() string {
		lines := m.render(10)
		_, first, _ := strings.Cut(lines[4].text, "GET ")
		_, last, _ := strings.Cut(lines[8].text, "GET ")
		return first + " to " + last
	}
	for _, c := range []struct{ key, want string }{
		{"Down", "/2 to /6"},
		{"PgDn", "/7 to /11"},
		{"Up", "/6 to /10"},
		{"PgUp", "/1 to /5"},
		{"Up", "/1 to /5"},
	} {
		m.handleKey(c.key)
		if got := visible(); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.key, got, c.want)
		}
	}
	for range 30 {
		m.handleKey("PgDn")
		m.render(10)
	}
	if got := visible(); got != "/16 to /20" {
		t.Errorf("at the end: got %s", got)
	}
	m.handleKey("Home")
	if got := visible(); got != "/1 to /5" {
		t.Errorf("at home: got %s", got)
	}
}

func TestTop_SnapshotFails(t *testing.T) {
	m := newTopModel(machines{{}})
	m.update(snapshotAt(0, poolOf("x", 0, worker(1, 1, 0, 0, 0))))
	m.update(snapshot{err: errors.New("no Caddy\x1b responds")})
	if lines := m.render(10); lines[1].style != alert || lines[1].text != "no Caddy� responds" || !strings.Contains(lines[4].text, "GET /1") {
		t.Errorf("got %+v", lines)
	}
	m.update(snapshotAt(1, poolOf("x", 0)))
	if lines := m.render(10); lines[1].style == alert {
		t.Errorf("after a good snapshot: the screen still has %q", lines[1].text)
	}
}

func TestTop_NotATerminal(t *testing.T) {
	out, err := run(t, "top", "--interval", "100ms", "--sort", "memory", "--address", twoPools(t).address)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, out,
		"2 pools: 2 busy, 2 idle, at most 18; queue 5; memory 201 MiB; 0 requests/s",
		"",
		"POOL   ID  PID  STATE     SECONDS  CPU%  CPU TIME   MEMORY  SERVED  REQUEST",
		"a/b     8  201  draining     1234     0       2.0  3.0 MiB       2  POST /export",
		"a/b     7  200  busy          3.2     0       9.0  2.0 MiB      10  GET /�[31mred",
		"quiet   1  100  idle            -     0       0.5  1.0 MiB       4",
		"quiet   2  101  idle            -     0       0.1        -       3")
	_, err = run(t, "top", "--sort", "name")
	wantError(t, err, "--sort name", "seconds, cpu, memory or requests")
	_, err = run(t, "top", "--interval", "0s")
	wantError(t, err, "--interval 0s", "100ms")
}
