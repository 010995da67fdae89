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

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// comparison is a script and a request for it. The response has to be that of
// php_fastcgi with php-fpm.
type comparison struct {
	name   string
	script string // PHP code
	site   string // the path of the route in comparedSite; default: one with PHP alone
	method string // default: GET
	fields []string
	h3     bool // by HTTP/3, too

	// differs is the reason why the response is not that of php_fastcgi; then it is
	// want.
	differs string
	want    received
}

// received holds a response, as a client gets it.
type received struct {
	Status  int
	Header  http.Header // without the fields in notCompared
	Body    string
	Cut     bool     // the connection or the stream ended early
	Interim []string // the interim responses: status and Link
}

// notCompared are the header fields of which a deliberate difference is known, or that
// differ with the time.
var notCompared = []string{
	"Date", "Etag", "Last-Modified",
	"Via",         // php_fastcgi adds "0.0 Caddy"
	"Status",      // php_fastcgi passes on the field by which PHP tells it the status
	"X-Via-Proxy", // of the harness
}

// comparedSite surrounds PHP with handlers that read or replace its response.
const comparedSite = `
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
		}
		header ?X-Default config
		header >X-Deferred config
		header -X-Removed
		PHP
	}
	PHP
	file_server
}
`

// protocols are those that a client may speak.
var protocols = []string{"HTTP/1.1", "h2c", "h2", "h3"}

// clientOf returns a client that speaks one protocol, and the server's URL for it.
func clientOf(t *testing.T, s *harness.Server, protocol string) (c *http.Client, url string) {
	t.Helper()
	c, url = harness.NewClient(t), s.URL
	insecure := &tls.Config{InsecureSkipVerify: true}
	p := new(http.Protocols)
	switch protocol {
	case "HTTP/1.1":
		p.SetHTTP1(true)
	case "h2c":
		p.SetUnencryptedHTTP2(true)
	case "h2":
		p.SetHTTP2(true)
		url = fmt.Sprintf("https://127.0.0.1:%d", s.Port+1)
	case "h3":
		tr := &http3.Transport{DisableCompression: true, TLSClientConfig: insecure}
		tr.Dial = func(ctx context.Context, addr string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
			conn, err := quic.DialAddrEarly(ctx, addr, tlsConfig, config)
			if err == nil {
				// The transport forgets a connection after an error, and Caddy would wait
				// for it when it stops.
				t.Cleanup(func() { conn.CloseWithError(0, "") })
			}
			return conn, err
		}
		t.Cleanup(func() { tr.Close() })
		c.Transport = tr
		return c, fmt.Sprintf("https://127.0.0.1:%d", s.Port+1)
	}
	tr := &http.Transport{DisableCompression: true, Protocols: p, TLSClientConfig: insecure}
	t.Cleanup(tr.CloseIdleConnections)
	c.Transport = tr
	return c, url
}

// awaitTLS waits until Caddy has made its certificate.
func awaitTLS(t *testing.T, s *harness.Server) {
	t.Helper()
	c, url := clientOf(t, s, "h2")
	harness.Eventually(t, func() error {
		res, err := c.Do(harness.NewRequest(t, "GET", url+"/hello.php", nil))
		if err == nil {
			res.Body.Close()
		}
		return err
	})
}

// send sends the request of a comparison.
func send(t *testing.T, s *harness.Server, protocol string, a comparison, path string) received {
	t.Helper()
	c, url := clientOf(t, s, protocol)
	method := a.method
	if method == "" {
		method = http.MethodGet
	}
	var got received
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
		return received{Cut: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil && protocol == "h3" {
		// A reset discards what has not been read yet, perhaps the header too.
		return received{Cut: true}
	}
	got.Status, got.Body, got.Cut, got.Header = res.StatusCode, string(body), err != nil, res.Header
	for _, name := range notCompared {
		got.Header.Del(name)
	}
	if slices.Equal(got.Header["Server"], []string{"Caddy"}) {
		got.Header.Del("Server") // php_fastcgi removes it; see notCompared
	}
	got.Header["Alt-Svc"] = slices.DeleteFunc(got.Header["Alt-Svc"], func(v string) bool {
		return strings.Contains(v, fmt.Sprint(":", s.Port+1)) // Caddy's own
	})
	if len(got.Header["Alt-Svc"]) == 0 {
		delete(got.Header, "Alt-Svc")
	}
	return got
}

// compareWithFPM sends the same requests to php_fastcgi with php-fpm and to php_pool, and
// compares the responses. There is one worker, which has to survive them all.
func compareWithFPM(t *testing.T, all []comparison) {
	t.Helper()
	opts := harness.Options{Global: "servers {\nprotocols h1 h2 h2c h3\n}", Workers: 1}
	prepare := func(t *testing.T, b harness.Backend) *harness.Server {
		s := harness.Start(t, b, comparedSite, opts)
		for i, a := range all {
			harness.WriteFile(t, filepath.Join(s.Site, fmt.Sprintf("compared%d.php", i)), "<?php "+a.script)
		}
		awaitTLS(t, s)
		return s
	}
	fpm := prepare(t, harness.FPM)
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := prepare(t, b)
		worker := s.Get("/pid.php").Text
		for i, a := range all {
			t.Run(a.name, func(t *testing.T) {
				for _, protocol := range protocols {
					if protocol == "h3" && !a.h3 {
						continue
					}
					path := fmt.Sprintf("%s/compared%d.php", a.site, i)
					want := a.want
					if a.differs == "" {
						want = send(t, fpm, protocol, a, path)
					}
					got := send(t, s, protocol, a, path)
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

func (a received) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v %d, cut %t\n", a.Interim, a.Status, a.Cut)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		fmt.Fprintf(&s, "%s: %q\n", name, a.Header[name])
	}
	fmt.Fprintf(&s, "%.300q", a.Body)
	return s.String()
}
