package fpmstatus

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// hostile has values, as a client or the name of a file may contain, that could break
// the page.
var hostile = pool.Info{
	Method: "GET", URI: "/<script>alert('1')</script>", Query: `a="b"&c=<script>` + "\xff\u0085",
	User: "eve\npool: x", Script: "/srv/a&b\r\n# EOF\x00\uFFFE.php",
}

const hostileName = "a\"b</td>\n# EOF\\n"

func TestPage_HostileInput(t *testing.T) {
	respond := func(query string) string {
		w := httptest.NewRecorder()
		page := Full(&pool.Stats{Name: hostileName, Manager: pool.Static}, []Worker{{WorkerStats: pool.WorkerStats{State: pool.Busy, Request: hostile}}}, true)
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := page.Respond(w, values); err != nil {
			t.Error(err)
		}
		return w.Body.String()
	}
	for _, query := range []string{"html", "xml"} {
		body := respond(query)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "c=<script>") || strings.Contains(body, "</td>\n#") {
			t.Errorf("%s: markup is not escaped:\n%s", query, body)
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
		"": textStrings, "json": jsonStrings, "xml": xmlStrings, "html": htmlStrings,
	} {
		body := respond(query)
		got, err := read(body)
		if err != nil {
			t.Errorf("%s: %v in\n%s", query, err, body)
			continue
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is missing in %q", query, w, got)
			}
		}
	}
	lines := strings.Split(respond("openmetrics"), "\n")
	if want := `# HELP phpfpm_up Whether pool a"b</td>%0A# EOF\\n (static) is up.`; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	for i, line := range lines[:len(lines)-2] {
		if !metricsLine.MatchString(line) {
			t.Errorf("line %d is not in OpenMetrics format: %s", i+1, line)
		}
	}
}

var metricsLine = regexp.MustCompile(`^(# (HELP|TYPE) phpfpm_[a-z_]+ .+|phpfpm_[a-z_]+ \d+)$`)

// The following functions return all strings of a page. They use parsers of other
// packages.

func textStrings(body string) ([]string, error) {
	var list []string
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case line == "\n", line == "************************\n":
		case !ok || len(name) > 20:
			return nil, errors.New("not a field: " + line)
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

func TestFormat_FirstInQuery(t *testing.T) {
	for query, want := range map[string]string{
		"": "text/plain;charset=UTF-8", "full": "text/plain;charset=UTF-8", "json=0": "application/json",
		"json&xml": "text/xml;charset=UTF-8", "openmetrics&json": "application/json", "xml&html&json": "text/html;charset=UTF-8",
		"openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatFor(values).contentType; got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
}

// TestPage_MemoryPeak checks that the field is in the same place as in php-fpm 8.4, and
// only after AddMemoryPeak.
func TestPage_MemoryPeak(t *testing.T) {
	for query, want := range map[string]string{
		"":            "slow requests:        0\nmemory peak:          0\n",
		"json":        `"slow requests":0,"memory peak":0}`,
		"json&full":   `"slow requests":0,"memory peak":0, "processes":[`,
		"xml":         "<slow-requests>0</slow-requests>\n<memory-peak>0</memory-peak>\n",
		"html":        "<tr><th>memory peak</th><td>0</td></tr>\n</table>",
		"openmetrics": "# TYPE phpfpm_memory_peak gauge\nphpfpm_memory_peak 0\n# EOF\n",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		page := Short(new(pool.Stats))
		if values.Has("full") {
			page = Full(new(pool.Stats), nil, false)
		}
		for _, has := range []bool{false, true} {
			if has {
				page.AddMemoryPeak()
			}
			w := httptest.NewRecorder()
			if err := page.Respond(w, values); err != nil {
				t.Error(err)
			}
			if body := w.Body.String(); strings.Contains(body, want) != has || !has && strings.Contains(body, "peak") {
				t.Errorf("%s: want memory peak %v, got:\n%s", query, has, body)
			}
		}
	}
}
