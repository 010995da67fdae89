package caddymodule

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// fpmAnswer is what the status page of a pool answers to a query.
func fpmAnswer(t *testing.T, l *livePool, query string, fullURI bool) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := answerFPMStatus(w, httptest.NewRequest(http.MethodGet, "/status?"+query, nil), l, fullURI); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheStatusPageTellsWhatWorkersRunAndRan(t *testing.T) {
	m := &meter{name: "www"}
	m.memory.Store(2 << 20)
	metered(t, m, 3, func(l *livePool) {
		l.request(t, pool.Info{
			Method: "POST", URI: "/a", Query: "token=t", User: "bob", ContentLength: 14, Script: "/srv/a.php",
		}, 200*time.Millisecond)
		m.cpu.Store(int64(50 * time.Millisecond))
		idle, err := l.pool.Acquire(context.Background(), pool.Info{Method: "GET", URI: "/b", Script: "/srv/b.php"})
		if err != nil {
			t.Fatal(err)
		}
		l.request(t, pool.Info{Method: "HEAD", URI: "/c", Script: "/srv/c.php"}, 1500*time.Millisecond)
		defer idle.Release()
		born := clockTime(time.Now().Add(-1700 * time.Millisecond))
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
		if got := fpmAnswer(t, l, "full", false).Body.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		short, _, _ := strings.Cut(want, "\n***")
		if got := fpmAnswer(t, l, "", false).Body.String(); got != short {
			t.Errorf("without full: got\n%s", got)
		}
	})
}

// hostile is what a client may send, or a file be called, to break the page.
var hostile = pool.Info{
	Method: "GET", URI: "/<script>alert('1')</script>", Query: `a="b"&c=<script>` + "\xff\u0085",
	User: "eve\npool: x", Script: "/srv/a&b\r\n# EOF\x00\uFFFE.php",
}

const hostileName = "a\"b</td>\n# EOF\\n"

func TestNothingThatAClientSendsBreaksThePage(t *testing.T) {
	metered(t, &meter{name: hostileName}, 1, func(l *livePool) {
		lease, err := l.pool.Acquire(context.Background(), hostile)
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		for _, query := range []string{"html&full", "xml&full", "html", "xml"} {
			body := fpmAnswer(t, l, query, true).Body.String()
			if strings.Contains(body, "<script>alert") || strings.Contains(body, "c=<script>") || strings.Contains(body, "</td>\n#") {
				t.Errorf("%s: markup gets through:\n%s", query, body)
			}
		}
		const (
			name   = `a"b</td>%0A# EOF\n`
			uri    = `/%3Cscript%3Ealert('1')%3C/script%3E?a="b"&c=<script>%FF%C2%85`
			user   = "eve%0Apool: x"
			script = "/srv/a&b%0D%0A# EOF%00%EF%BF%BE.php"
		)
		want := []string{name, strings.ReplaceAll(strings.ReplaceAll(uri, "%3C", "<"), "%3E", ">"), user, script}
		for query, read := range map[string]func(string) ([]string, error){
			"full": textStrings, "full&json": jsonStrings, "full&xml": xmlStrings, "full&html": htmlStrings,
		} {
			body := fpmAnswer(t, l, query, true).Body.String()
			got, err := read(body)
			if err != nil {
				t.Errorf("%s: %v in\n%s", query, err, body)
				continue
			}
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Errorf("%s: no %q in %q", query, w, got)
				}
			}
		}
		lines := strings.Split(fpmAnswer(t, l, "openmetrics&full", true).Body.String(), "\n")
		if want := `# HELP phpfpm_up Whether pool a"b</td>%0A# EOF\\n (static) is there.`; lines[0] != want {
			t.Errorf("got  %s\nwant %s", lines[0], want)
		}
		for i, line := range lines[:len(lines)-2] {
			if !metricsLine.MatchString(line) {
				t.Errorf("line %d is none of this format: %s", i+1, line)
			}
		}
	})
}

var metricsLine = regexp.MustCompile(`^(# (HELP|TYPE) phpfpm_[a-z_]+ .+|phpfpm_[a-z_]+ \d+)$`)

// These read all strings of a page with parsers that are not ours.

func textStrings(body string) ([]string, error) {
	var list []string
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case line == "\n", line == "************************\n":
		case !ok || len(name) > 20:
			return nil, errors.New("no field: " + line)
		default:
			list = append(list, strings.TrimLeft(value, " "))
		}
	}
	return list, nil
}

func jsonStrings(body string) ([]string, error) {
	var page struct {
		Pool      string
		Processes []map[string]any
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		return nil, err
	}
	list := []string{page.Pool}
	for _, value := range page.Processes[0] {
		if s, ok := value.(string); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

func xmlStrings(body string) ([]string, error) {
	var list []string
	for d := xml.NewDecoder(strings.NewReader(body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if text, ok := token.(xml.CharData); ok {
			list = append(list, string(text))
		}
	}
}

func htmlStrings(body string) ([]string, error) {
	var list []string
	for z := html.NewTokenizer(strings.NewReader(body)); ; {
		token := z.Next()
		if token == html.ErrorToken {
			return list, nil
		}
		if token == html.TextToken {
			list = append(list, string(z.Text()))
		}
	}
}

func TestQueriesAreShownOnlyWhenAskedFor(t *testing.T) {
	m := new(meter)
	metered(t, m, 2, func(l *livePool) {
		secret := pool.Info{Method: "GET", URI: "/login", Query: "password=hunter2"}
		l.request(t, secret, time.Second)
		running, err := l.pool.Acquire(context.Background(), secret)
		if err != nil {
			t.Fatal(err)
		}
		defer running.Release()
		for _, query := range []string{"full", "full&json", "full&xml", "full&html", "full&openmetrics", "full&full_uri"} {
			if body := fpmAnswer(t, l, query, false).Body.String(); strings.Contains(body, "hunter2") {
				t.Errorf("%s shows the query", query)
			}
			if strings.Contains(query, "openmetrics") {
				continue
			}
			if body := fpmAnswer(t, l, query, true).Body.String(); !strings.Contains(body, "/login?password=hunter2") {
				t.Errorf("%s does not show the query that is asked for:\n%s", query, body)
			}
		}
		for _, full := range []bool{false, true} {
			text, err := json.Marshal(l.describe(detail{workers: true, fullURI: full}))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "hunter2"); got != full {
				t.Errorf("full_uri %v: the query is shown: %v", full, got)
			}
		}
	})
}

func TestTheFirstFormatOfTheQueryCounts(t *testing.T) {
	for query, want := range map[string]string{
		"": "text/plain;charset=UTF-8", "full": "text/plain;charset=UTF-8", "json=0": "application/json",
		"json&xml": "text/xml;charset=UTF-8", "openmetrics&json": "application/json", "xml&html&json": "text/html;charset=UTF-8",
		"openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
		if got := fpmFormatOf(r.URL.Query()).contentType; got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
}
