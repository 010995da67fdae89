//go:build linux

package harness

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// Mask replaces text that differs from run to run, such as a token or a time.
type Mask struct {
	Pattern *regexp.Regexp
	With    string // see regexp.ReplaceAllString
}

// NewMask compiles a mask.
func NewMask(pattern, with string) Mask { return Mask{regexp.MustCompile(pattern), with} }

// RoundTrip is a request and the response to it, masked.
type RoundTrip struct {
	Request  string // method, path and query
	Response string // status, header, an empty line, body
}

// Recorder records the round trips of a server's clients in order.
type Recorder struct {
	hide  *strings.Replacer
	masks []Mask

	mu   sync.Mutex
	list []RoundTrip
}

// dates are the times of HTTP headers, cookies and DAV properties.
var dates = NewMask(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d[ -][A-Z][a-z][a-z][ -]\d{4} \d\d:\d\d:\d\d GMT`, "DATE")

// Record makes the server's client, and the browsers created from now on, record all
// round trips. Ports and temporary directories are masked, and the times in headers.
func (s *Server) Record(masks ...Mask) *Recorder {
	s.T.Helper()
	s.Recorder = &Recorder{
		hide: strings.NewReplacer(s.Site, "SITE", s.Dir, "DIR"),
		masks: append([]Mask{
			NewMask(fmt.Sprintf(`127\.0\.0\.1(:|%%(25)*3A)%d\b`, s.Port), "HOST"),
			NewMask(fmt.Sprintf(`127\.0\.0\.1(:|%%(25)*3A)%d\b`, s.Port+1), "HOST2"),
			dates,
		}, masks...),
	}
	s.Client = s.Recorder.client(s.Client)
	return s.Recorder
}

// client returns a copy of a client whose round trips are recorded.
func (r *Recorder) client(c *http.Client) *http.Client {
	recording := *c
	recording.Transport = recorded{r, c.Transport}
	return &recording
}

// recorded is the transport of a client.
type recorded struct {
	*Recorder
	next http.RoundTripper
}

func (r recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	e := RoundTrip{r.mask(req.Method + " " + req.URL.RequestURI()), r.response(res, body)}
	r.mu.Lock()
	r.list = append(r.list, e)
	r.mu.Unlock()
	return res, nil
}

// differentFields are the header fields that are not compared, and why.
var differentFields = map[string]string{
	"Date":        "the time",
	"Via":         "only Caddy's reverse proxy adds it; php_fastcgi's has the version of FastCGI",
	"Server":      "Caddy's reverse proxy removes it",
	"Status":      "php_fastcgi passes on the field of CGI, which is no field of HTTP",
	"X-Via-Proxy": "of the backend",
}

// response renders a response. Where a mask changed the body, its length says nothing.
func (r *Recorder) response(res *http.Response, body []byte) string {
	body = gunzip(body)
	text := fmt.Sprintf("%d bytes, SHA-256 %x", len(body), sha256.Sum256(body))
	if utf8.Valid(body) {
		text = string(body)
	}
	masked := r.mask(text)
	var header strings.Builder
	h := res.Header.Clone()
	for name := range differentFields {
		h.Del(name)
	}
	if masked != text && h.Get("Content-Length") != "" {
		h.Set("Content-Length", "that of the body")
	}
	h.Write(&header) // sorted; a Builder has no errors
	return fmt.Sprintf("%s\n%s\n%s", res.Status, strings.ReplaceAll(r.mask(header.String()), "\r", ""), masked)
}

// gunzip decompresses a body. One that is not compressed stays as it is.
func gunzip(body []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return body
	}
	return plain
}

func (r *Recorder) mask(text string) string {
	text = r.hide.Replace(text)
	for _, m := range r.masks {
		text = m.Pattern.ReplaceAllString(text, m.With)
	}
	return text
}

// RoundTrips returns what was recorded.
func (r *Recorder) RoundTrips() []RoundTrip {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// CompareWithFPM runs the same with php_fastcgi and php-fpm and then with each of the
// backends, and compares the round trips that it returns.
func CompareWithFPM(t *testing.T, backends []Backend, run func(*testing.T, Backend) []RoundTrip) {
	t.Helper()
	var want []RoundTrip
	ok := t.Run("reference "+FPM.Name, func(t *testing.T) { want = run(t, FPM) })
	if !ok {
		return
	}
	ForEach(t, backends, func(t *testing.T, b Backend) {
		wantRoundTrips(t, run(t, b), want)
	})
}

// contentLength is a field that php_pool may add to a response that it has whole.
var contentLength = regexp.MustCompile(`(?m)^Content-Length: .*\n`)

// wantRoundTrips reports the round trips that differ, with the lines that do.
func wantRoundTrips(tb testing.TB, got, want []RoundTrip) {
	tb.Helper()
	for i := range min(len(got), len(want)) {
		if got[i].Request != want[i].Request {
			tb.Errorf("request %d is %s, and %s with php_fastcgi", i+1, got[i].Request, want[i].Request)
			return // what follows belongs to other requests
		}
		response := got[i].Response
		if !contentLength.MatchString(want[i].Response) {
			response = contentLength.ReplaceAllString(response, "")
		}
		if response != want[i].Response {
			tb.Errorf("request %d, %s:\n%s", i+1, got[i].Request, differentLines(response, want[i].Response))
		}
	}
	if len(got) != len(want) {
		tb.Errorf("got %d round trips, %d with php_fastcgi", len(got), len(want))
	}
}

// differentLines shows the lines that only one of two texts has, in a longest common
// subsequence of them.
func differentLines(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	at := func(list []string, i int) string {
		if i < 0 || i >= len(list) {
			return ""
		}
		return list[i]
	}
	for len(g) > 0 && len(w) > 0 && g[0] == w[0] {
		g, w = g[1:], w[1:]
	}
	for len(g) > 0 && len(w) > 0 && g[len(g)-1] == w[len(w)-1] {
		g, w = g[:len(g)-1], w[:len(w)-1]
	}
	common := make([][]int, len(g)+1) // the length of the sequence in g[i:] and w[j:]
	for i := range common {
		common[i] = make([]int, len(w)+1)
	}
	for i, line := range slices.Backward(g) {
		for j, other := range slices.Backward(w) {
			if line == other {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(g) || j < len(w); {
		switch {
		case i < len(g) && j < len(w) && g[i] == w[j]:
			i, j = i+1, j+1
		case j < len(w) && (i == len(g) || common[i][j+1] >= common[i+1][j]):
			fmt.Fprintf(&out, "\tphp_fastcgi: %s\n", excerpt(w[j], at(g, i)))
			j++
		default:
			fmt.Fprintf(&out, "\tgot:         %s\n", excerpt(g[i], at(w, j-1)))
			i++
		}
	}
	return fmt.Sprintf("%.8000s", out.String())
}

// excerpt cuts a long line before the place where it differs from another.
func excerpt(line, other string) string {
	start := 0
	for len(line) > 300 && start < min(len(line), len(other)) && line[start] == other[start] {
		start++
	}
	return fmt.Sprintf("%.500s", line[max(0, start-100):])
}
