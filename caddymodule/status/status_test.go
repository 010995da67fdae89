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

// requestStatus requests the status page of a pool with a query.
func requestStatus(t *testing.T, p *live.Pool, query string, fullURI bool) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := ServeFPM(p, w, httptest.NewRequest(http.MethodGet, "/status?"+query, nil).URL.Query(), fullURI); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestStatus_FullPage(t *testing.T) {
	m := &livetest.Meter{Name: "www"}
	m.Memory.Store(2 << 20)
	livetest.RunMetered(t, m, 3, func(p *live.Pool) {
		livetest.HoldWorker(t, p, pool.Info{
			Method: "POST", URI: "/a", Query: "token=t", User: "bob", ContentLength: 14, Script: "/srv/a.php",
		}, 200*time.Millisecond)
		m.CPU.Store(int64(50 * time.Millisecond))
		idle, err := p.Pool.Acquire(context.Background(), pool.Info{Method: "GET", URI: "/b", Script: "/srv/b.php"})
		if err != nil {
			t.Fatal(err)
		}
		livetest.HoldWorker(t, p, pool.Info{Method: "HEAD", URI: "/c", Script: "/srv/c.php"}, 1500*time.Millisecond)
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
		if got := requestStatus(t, p, "full", false).Body.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		short, _, _ := strings.Cut(want, "\n***")
		if got := requestStatus(t, p, "", false).Body.String(); got != short {
			t.Errorf("without full: got\n%s\nwant\n%s", got, short)
		}
	})
}

func TestStatus_QueriesOnlyWithFullURI(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 2, func(p *live.Pool) {
		secret := pool.Info{Method: "GET", URI: "/login", Query: "password=hunter2"}
		livetest.HoldWorker(t, p, secret, time.Second)
		running, err := p.Pool.Acquire(context.Background(), secret)
		if err != nil {
			t.Fatal(err)
		}
		defer running.Release()
		for _, query := range []string{"full", "full&json", "full&xml", "full&html", "full&openmetrics", "full&full_uri"} {
			if body := requestStatus(t, p, query, false).Body.String(); strings.Contains(body, "hunter2") {
				t.Errorf("%s shows the query", query)
			}
			if strings.Contains(query, "openmetrics") {
				continue
			}
			if body := requestStatus(t, p, query, true).Body.String(); !strings.Contains(body, "/login?password=hunter2") {
				t.Errorf("%s with full_uri does not show the query:\n%s", query, body)
			}
		}
		for _, full := range []bool{false, true} {
			text, err := json.Marshal(describePool(p, detail{workers: true, fullURI: full}))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "hunter2"); got != full {
				t.Errorf("full_uri %v: query shown: got %v, want %v", full, got, full)
			}
		}
	})
}

func TestStatus_MemorySampledOncePerSecond(t *testing.T) {
	m := new(livetest.Meter)
	m.Memory.Store(3 << 20)
	livetest.RunMetered(t, m, 4, func(p *live.Pool) {
		for range 1000 {
			got := describePool(p, detail{workers: true})
			if got.Memory == nil || *got.Memory != 12<<20 || got.MemoryHuman != "12 MiB" {
				t.Fatalf("got %v bytes (%s), want 12 MiB", got.Memory, got.MemoryHuman)
			}
			statusPage(p, true, false)
		}
		if n := m.Reads.Load(); n != 4 {
			t.Errorf("got %d reads of memory, want 1 for each of 4 workers", n)
		}
		m.Memory.Store(5 << 20)
		time.Sleep(time.Second)
		if got := describePool(p, detail{}); *got.Memory != 20<<20 || m.Reads.Load() != 8 {
			t.Errorf("after 1 s: got %d bytes after %d reads, want 20 MiB after 8", *got.Memory, m.Reads.Load())
		}
	})
}

// The short page has no values that cost system calls.
func TestStatus_ShortPageReadsNoMemory(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 4, func(p *live.Pool) { statusPage(p, false, false) })
	if n := m.Reads.Load(); n != 0 {
		t.Errorf("got %d reads of memory, want 0", n)
	}
}

func TestStatus_UnknownMemoryIsAbsent(t *testing.T) {
	livetest.RunMetered(t, &livetest.Meter{Unknown: true}, 2, func(p *live.Pool) {
		got := describePool(p, detail{workers: true})
		if got.Memory != nil || got.MemoryHuman != "" || got.WorkersList[0].Memory != nil {
			t.Errorf("got %v, want none", got.Memory)
		}
	})
}
