//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// asked is a script and a request for it. php_pool has to give the same answer as
// php_fastcgi with php-fpm.
type asked struct {
	name   string
	script string // PHP code
	site   string // the path of the route in likeFPMSite; default: one with PHP alone
	method string // default: GET
	fields []string

	// differs is the reason why the answer is not that of php_fastcgi, and want what
	// it is instead.
	differs string
	want    answer
}

// answer is what a client gets.
type answer struct {
	Status  int
	Header  http.Header // without the fields in uncompared
	Body    string
	Cut     bool     // the connection or the stream ended early
	Interim []string // the interim responses: status and Link
}

// uncompared are the header fields of which a deliberate difference is known, or that
// differ with the time.
var uncompared = []string{
	"Date", "Etag", "Last-Modified",
	"Via",         // php_fastcgi adds "0.0 Caddy"
	"Status",      // php_fastcgi passes on the field by which PHP tells it the status
	"X-Via-Proxy", // of the harness
}

// likeFPMSite surrounds PHP with handlers that read or replace its response.
const likeFPMSite = `
http://127.0.0.1:{$PORT}, https://127.0.0.1:{$PORT2} {
	tls internal
	root {$SITE}
	handle_path /encode/* {
		encode
		PHP
	}
	handle_path /respond/* {
		intercept {
			@e status 5xx
			handle_response @e {
				respond "intercepted {resp.status_code}"
			}
		}
		PHP
	}
	handle_path /longer/* {
		intercept {
			@e status 5xx
			handle_response @e {
				respond "intercepted by a text that is longer than the body of the script"
			}
		}
		PHP
	}
	handle_path /file/* {
		intercept {
			@e status 5xx
			handle_response @e {
				rewrite /page.html
				file_server
			}
		}
		PHP
	}
	handle_path /kept/* {
		intercept {
			@e status 5xx
			handle_response @e {
				header X-In 1
			}
		}
		PHP
	}
	handle_path /status/* {
		intercept {
			@e status 5xx
			replace_status @e 418
		}
		PHP
	}
	handle_path /templates/* {
		templates
		PHP
	}
	handle_path /header/* {
		header {
			Server config
			X-Set config
			Cache-Control config
			Content-Type text/config
			Set-Cookie config=1
			Vary X-Config
			+X-Add config
			?X-Default config
			>X-Deferred config
			-X-Removed
		}
		PHP
	}
	PHP
	file_server
}
`

// protocols are the ways in which a client may ask.
var protocols = []string{"HTTP/1.1", "h2c", "h2"}

// clientOf returns a client that speaks one protocol, and the server's URL for it.
func clientOf(t *testing.T, s *harness.Server, protocol string) (c *http.Client, url string) {
	t.Helper()
	p := new(http.Protocols)
	url = s.URL
	switch protocol {
	case "HTTP/1.1":
		p.SetHTTP1(true)
	case "h2c":
		p.SetUnencryptedHTTP2(true)
	case "h2":
		p.SetHTTP2(true)
		url = fmt.Sprintf("https://127.0.0.1:%d", s.Port+1)
	}
	tr := &http.Transport{DisableCompression: true, Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	c = harness.NewClient(t)
	c.Transport = tr
	return c, url
}

// ask sends the request of a.
func ask(t *testing.T, s *harness.Server, protocol string, a asked, path string) answer {
	t.Helper()
	c, url := clientOf(t, s, protocol)
	method := a.method
	if method == "" {
		method = http.MethodGet
	}
	var got answer
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got.Interim = append(got.Interim, fmt.Sprint(code, " ", h.Get("Link")))
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, method, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		if context.Cause(ctx) != nil {
			t.Fatal(err)
		}
		return answer{Cut: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	got.Status, got.Body, got.Cut, got.Header = res.StatusCode, string(body), err != nil, res.Header
	for _, name := range uncompared {
		got.Header.Del(name)
	}
	if slices.Equal(got.Header["Server"], []string{"Caddy"}) {
		got.Header.Del("Server") // php_fastcgi removes it
	}
	return got
}

// likeFPM asks php_fastcgi with php-fpm and every backend the same, and compares the
// answers.
func likeFPM(t *testing.T, all []asked) {
	t.Helper()
	opts := harness.Options{Global: "servers {\nprotocols h1 h2 h2c\n}", Workers: 1}
	prepare := func(t *testing.T, b harness.Backend) *harness.Server {
		s := harness.Start(t, b, likeFPMSite, opts)
		for i, a := range all {
			harness.WriteFile(t, filepath.Join(s.Site, fmt.Sprintf("asked%d.php", i)), "<?php "+a.script)
		}
		c, url := clientOf(t, s, "h2")
		harness.Eventually(t, func() error { // until Caddy has made its certificate
			res, err := c.Do(harness.NewRequest(t, "GET", url+"/hello.php", nil))
			if err == nil {
				res.Body.Close()
			}
			return err
		})
		return s
	}
	fpm := prepare(t, harness.FPM)
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := prepare(t, b)
		worker := s.Get("/pid.php").Text
		for i, a := range all {
			t.Run(a.name, func(t *testing.T) {
				for _, protocol := range protocols {
					path := fmt.Sprintf("%s/asked%d.php", a.site, i)
					want := a.want
					if a.differs == "" {
						want = ask(t, fpm, protocol, a, path)
					}
					got := ask(t, s, protocol, a, path)
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s: got\n%s\nwant\n%s", protocol, got, want)
					}
				}
			})
		}
		if after := s.Get("/pid.php").Text; after != worker {
			t.Errorf("worker %s was replaced by %s", worker, after)
		}
	})
}

func (a answer) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v %d, cut %t\n", a.Interim, a.Status, a.Cut)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		fmt.Fprintf(&s, "%s: %q\n", name, a.Header[name])
	}
	fmt.Fprintf(&s, "%.300q", a.Body)
	return s.String()
}

// TestResponse_Length sends lengths that are right, wrong or missing.
func TestResponse_Length(t *testing.T) {
	t.Parallel()
	const fails = `http_response_code(500); echo 'body of status';`
	const short = `header('Content-Length: 100'); echo str_repeat('x', 50);`
	html := http.Header{"Content-Type": {"text/html; charset=UTF-8"}}
	all := []asked{
		{name: "a body shorter than its length", script: short},
		{name: "a HEAD of it", script: short, method: "HEAD"},
		{name: "304 with a length", script: `http_response_code(304);` + short},
		{
			name: "204 with a length", script: `http_response_code(204);` + short,
			differs: "a 204 must not have a Content-Length (RFC 9110, section 8.6): HTTP/2 clients fail",
			want:    answer{Status: 204, Header: html},
		},
		{name: "205 with a length", script: `http_response_code(205);` + short},
		{name: "206 that is too short", script: `http_response_code(206); header('Content-Range: bytes 0-99/200');` + short},
		{name: "a length and no body", script: `header('Content-Length: 100');`},
		{name: "a long body that is too short", script: `header('Content-Length: 500000'); echo str_repeat('x', 300000);`},
		{name: "a body that is too short after a flush", script: `header('Content-Length: 100'); echo 'x'; flush(); usleep(20000); echo 'y';`},
		{name: "a fatal error in the middle", script: `header('Content-Length: 100'); echo 'x'; flush(); ini_set('display_errors', 0); nothing();`},
		{name: "a body that is too short and encoded", site: "/encode", fields: []string{"Accept-Encoding: gzip"},
			script: `header('Content-Length: 5000'); echo str_repeat('x', 4000);`},
		{name: "a body longer than its length", script: `header('Content-Length: 10'); echo str_repeat('x', 50);`},
		{name: "no length", script: `echo 'hello';`},
		{name: "no body", script: ``},
		{name: "HEAD", script: `echo 'hello';`, method: "HEAD"},
	}
	for _, site := range []string{"/respond", "/longer", "/file", "/kept", "/status", "/templates"} {
		all = append(all,
			asked{name: "replaced by " + site, site: site, script: fails},
			asked{name: "a HEAD replaced by " + site, site: site, script: fails, method: "HEAD"},
			asked{name: "a long one replaced by " + site, site: site, script: fails + `echo str_repeat('x', 100000);`},
			asked{name: "an empty one replaced by " + site, site: site, script: `http_response_code(500);`},
			asked{name: "passed by " + site, site: site, script: `echo 'hello {{ add 1 2 }}';`},
		)
	}
	likeFPM(t, all)
}
