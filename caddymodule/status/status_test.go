package status

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// statusAnswer is what the status page of a pool answers to a query.
func statusAnswer(t *testing.T, l *live.Pool, query string, fullURI bool) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := serveStatus(l, w, httptest.NewRequest(http.MethodGet, "/status?"+query, nil), fullURI); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheStatusPageTellsWhatWorkersRunAndRan(t *testing.T) {
	m := &livetest.Meter{Name: "www"}
	m.Memory.Store(2 << 20)
	livetest.RunMetered(t, m, 3, func(l *live.Pool) {
		livetest.HoldWorker(t, l, pool.Info{
			Method: "POST", URI: "/a", Query: "token=t", User: "bob", ContentLength: 14, Script: "/srv/a.php",
		}, 200*time.Millisecond)
		m.CPU.Store(int64(50 * time.Millisecond))
		idle, err := l.Pool.Acquire(context.Background(), pool.Info{Method: "GET", URI: "/b", Script: "/srv/b.php"})
		if err != nil {
			t.Fatal(err)
		}
		livetest.HoldWorker(t, l, pool.Info{Method: "HEAD", URI: "/c", Script: "/srv/c.php"}, 1500*time.Millisecond)
		defer idle.Release()
		born := time.Now().Add(-1700 * time.Millisecond).Format("02/Jan/2006:15:04:05 -0700")
		want := strings.ReplaceAll(`pool:                 www
process manager:      static
start time:           BORN
start since:          1
accepted conn:        3
listen queue:         0
max listen queue:     0
listen queue len:     10
idle processes:       2
active processes:     1
total processes:      3
max active processes: 2
max children reached: 0
slow requests:        0

************************
pid:                  100
state:                Idle
start time:           BORN
start since:          1
requests:             0
request duration:     0
request method:       -
request URI:          -
content length:       0
user:                 -
script:               -
last request cpu:     0.00
last request memory:  0

************************
pid:                  101
state:                Idle
start time:           BORN
start since:          1
requests:             1
request duration:     1500000
request method:       HEAD
request URI:          /c
content length:       0
user:                 -
script:               /srv/c.php
last request cpu:     3.33
last request memory:  2097152

************************
pid:                  102
state:                Running
start time:           BORN
start since:          1
requests:             2
request duration:     1500000
request method:       GET
request URI:          /b
content length:       0
user:                 -
script:               /srv/b.php
last request cpu:     0.00
last request memory:  0
`, "BORN", born)
		if got := statusAnswer(t, l, "full", false).Body.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		short, _, _ := strings.Cut(want, "\n***")
		if got := statusAnswer(t, l, "", false).Body.String(); got != short {
			t.Errorf("without full: got\n%s", got)
		}
	})
}

func TestQueriesAreShownOnlyWhenAskedFor(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 2, func(l *live.Pool) {
		secret := pool.Info{Method: "GET", URI: "/login", Query: "password=hunter2"}
		livetest.HoldWorker(t, l, secret, time.Second)
		running, err := l.Pool.Acquire(context.Background(), secret)
		if err != nil {
			t.Fatal(err)
		}
		defer running.Release()
		for _, query := range []string{"full", "full&json", "full&xml", "full&html", "full&openmetrics", "full&full_uri"} {
			if body := statusAnswer(t, l, query, false).Body.String(); strings.Contains(body, "hunter2") {
				t.Errorf("%s shows the query", query)
			}
			if strings.Contains(query, "openmetrics") {
				continue
			}
			if body := statusAnswer(t, l, query, true).Body.String(); !strings.Contains(body, "/login?password=hunter2") {
				t.Errorf("%s does not show the query that is asked for:\n%s", query, body)
			}
		}
		for _, full := range []bool{false, true} {
			text, err := json.Marshal(describePool(l, detail{workers: true, fullURI: full}))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "hunter2"); got != full {
				t.Errorf("full_uri %v: the query is shown: %v", full, got)
			}
		}
	})
}

func TestWorkersAreMeasuredOnceASecondHoweverManyAsk(t *testing.T) {
	m := new(livetest.Meter)
	m.Memory.Store(3 << 20)
	livetest.RunMetered(t, m, 4, func(l *live.Pool) {
		for range 1000 {
			got := describePool(l, detail{workers: true})
			if got.Memory == nil || *got.Memory != 12<<20 || got.MemoryHuman != "12 MiB" {
				t.Fatalf("got %v bytes (%s), want 12 MiB", got.Memory, got.MemoryHuman)
			}
			statusPage(l, true, false)
		}
		if n := m.Reads.Load(); n != 4 {
			t.Errorf("memory was read %d times, want once for each of 4 workers", n)
		}
		m.Memory.Store(5 << 20)
		time.Sleep(time.Second)
		if got := describePool(l, detail{}); *got.Memory != 20<<20 || m.Reads.Load() != 8 {
			t.Errorf("a second later: got %d bytes after %d reads", *got.Memory, m.Reads.Load())
		}
	})
}

// The short page of php-fpm tells nothing that has to be measured.
func TestTheShortStatusMeasuresNothing(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 4, func(l *live.Pool) { statusPage(l, false, false) })
	if n := m.Reads.Load(); n != 0 {
		t.Errorf("memory was read %d times", n)
	}
}

func TestMemoryThatTheSystemDoesNotTellIsLeftOut(t *testing.T) {
	livetest.RunMetered(t, &livetest.Meter{Unknown: true}, 2, func(l *live.Pool) {
		got := describePool(l, detail{workers: true})
		if got.Memory != nil || got.MemoryHuman != "" || got.WorkersList[0].Memory != nil {
			t.Errorf("got %v, want none", got.Memory)
		}
	})
}
