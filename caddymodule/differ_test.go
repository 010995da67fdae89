package caddymodule

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"

	caddyfastcgi "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/fastcgi"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// intended are the variables that differ from those of php_fastcgi on purpose,
// and how. What is not in here has to be the same for every request.
var intended = map[string]struct {
	why string
	how func(theirs, ours string) bool
}{
	"REDIRECT_STATUS": {
		"php-cgi may be built to refuse what has none; every other web server sends it",
		func(_, ours string) bool { return ours == "200" },
	},
	"REQUEST_METHOD": {
		"methods are case-sensitive (RFC 9110 section 9.1); php_fastcgi makes them upper-case, and of GeT a POST",
		func(theirs, ours string) bool {
			return strings.ToUpper(ours) == theirs || strings.ToUpper(ours) == http.MethodGet && ours != http.MethodGet
		},
	},
	"CONTENT_LENGTH": {
		"php_fastcgi sends what the client announced, also nothing; this is the length of what is sent",
		func(_, ours string) bool { return isNumber(ours) },
	},
	"HTTP_CONTENT_LENGTH": {
		"the same, and there is none where there is no body",
		func(_, ours string) bool { return ours == "" || isNumber(ours) },
	},
	"CONTENT_TYPE": {
		"php_fastcgi says that a body without a type is a form; nginx and Apache do not",
		func(theirs, ours string) bool { return theirs == "application/x-www-form-urlencoded" && ours == "" },
	},
	"HTTP_X_FORWARDED_FOR": {
		"an empty one, of a trusted proxy on a unix socket, says nothing and is not sent",
		func(theirs, ours string) bool { return theirs == "" && ours == "" },
	},
	"HTTP_COOKIE": {
		"several fields are one list, joined with \"; \" (RFC 6265 section 5.4); php_fastcgi joins with a comma",
		func(theirs, ours string) bool {
			return strings.ReplaceAll(ours, "; ", ", ") == strings.ReplaceAll(theirs, "; ", ", ")
		},
	},
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// differ sends one request through php_fastcgi's transport and both of our ways.
type differ struct {
	theirs, proxied *reverseproxy.Handler
	ours            *Handler

	mu   sync.Mutex
	seen map[string]string // what PHP was told last; nil if it was not asked
}

func newDiffer(tb testing.TB) *differ {
	tb.Helper()
	d := new(differ)
	root := testfiles.Write(tb, "index.php", "sub/a b.php", "ü.php")
	d.ours = fakeSite(tb, root, 1, livetest.Answers(d.told))
	l, err := net.Listen("unix", filepath.Join(tb.TempDir(), "s"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go fastcgitest.Serve(c, d.told) // the client closes it
		}
	}()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		tb.Fatal(err)
	}
	provision := func(transport json.RawMessage) *reverseproxy.Handler {
		h := &reverseproxy.Handler{TransportRaw: transport, Upstreams: reverseproxy.UpstreamPool{{Dial: "unix/" + l.Addr().String()}}}
		if err := h.Provision(ctx); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { h.Cleanup() })
		return h
	}
	d.theirs = provision(caddyconfig.JSONModuleObject(caddyfastcgi.Transport{
		Root: root, SplitPath: []string{".php"}, ResolveRootSymlink: true,
	}, "protocol", "fastcgi", nil))
	d.proxied = provision(nil)
	d.proxied.Transport = &Transport{Backend: d.ours.Backend}
	return d
}

func (d *differ) told(r *fastcgitest.Request) fastcgitest.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = r.Params
	return fastcgitest.OK("")
}

// vars is what PHP is told of a request that goes this way; nil if it is not
// asked.
func (d *differ) vars(r *http.Request, serve func(http.ResponseWriter, *http.Request) error) (map[string]string, error) {
	d.mu.Lock()
	d.seen = nil
	d.mu.Unlock()
	err := serve(httptest.NewRecorder(), r)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen, err
}

// Sample is a request as it comes from a client, and how it comes.
type sample struct {
	method, target, fields, body, user string
	from, how                          uint8
}

// peers are the forms of net.Conn's remote address.
var peers = []string{"192.0.2.1:1234", "[2001:db8::1]:1", "[fe80::1%eth0]:1", "@", ""}

// httpRequest is the sample as Caddy's server would hand it on; nil if it would not.
func (s *sample) request(server *caddyhttp.Server) *http.Request {
	text := s.method + " " + s.target + " HTTP/1.1\r\n" + s.fields + "\r\n\r\n" + s.body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || !serves(r) {
		return nil
	}
	r.RemoteAddr = peers[int(s.from)%len(peers)]
	if s.how&1 != 0 {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, HandshakeComplete: s.how&2 != 0}
	}
	if s.how&4 != 0 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	}
	if s.how&8 != 0 {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv6loopback, Port: 443})))
	}
	r = prepareRequest(r, server)
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, s.how&16 != 0)
	if s.user != "" {
		r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", s.user)
	}
	return r
}

// serves reports whether net/http's server would hand a request on: its own
// checks come after those of http.ReadRequest.
func serves(r *http.Request) bool {
	for name, values := range r.Header {
		for i := range len(name) {
			if name[i] <= ' ' || name[i] >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, name[i]) >= 0 {
				return false
			}
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
	}
	return r.Host != "" && !strings.ContainsFunc(r.Host, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '/' })
}

// differences compares what PHP is told, and names what differs without being
// meant to.
func differences(theirs, ours map[string]string, fields http.Header) []string {
	var list []string
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		theirValue, theyHave := theirs[name]
		value, weHave := ours[name]
		if theyHave == weHave && theirValue == value || ambiguous(name, fields) {
			continue
		}
		if meant, ok := intended[name]; ok && meant.how(theirValue, value) {
			continue
		}
		list = append(list, name+": got "+value+", php_fastcgi has "+theirValue)
	}
	return list
}

// ambiguous: the variable comes, at least as php_fastcgi has it, of a header
// field whose name has anything else than letters, digits and "-". Such a field
// is dropped here, because X_Y passes for X-Y (GHSA-f59h-q822-g45g).
func ambiguous(variable string, fields http.Header) bool {
	for name := range fields {
		plain := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
		if !plain && "HTTP_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_") == variable {
			return true
		}
	}
	return false
}

// FuzzVariables: whatever a client sends, PHP is told the same as behind
// php_fastcgi, but for what is listed and has a reason.
func FuzzVariables(f *testing.F) {
	for _, s := range differSamples {
		f.Add(s.method, s.target, s.fields, s.body, s.user, s.from, s.how)
	}
	d := newDiffer(f)
	server := new(caddyhttp.Server)
	f.Fuzz(func(t *testing.T, method, target, fields, body, user string, from, how uint8) {
		s := sample{method, target, fields, body, user, from, how}
		r := s.request(server)
		if r == nil {
			return
		}
		header := r.Header.Clone()
		theirs, err := d.vars(r, func(w http.ResponseWriter, r *http.Request) error { return d.theirs.ServeHTTP(w, r, nil) })
		for way, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
			"short": func(w http.ResponseWriter, r *http.Request) error {
				return d.ours.serveDirect(w, r, requestStateFrom(r))
			},
			"proxied": func(w http.ResponseWriter, r *http.Request) error { return d.proxied.ServeHTTP(w, r, nil) },
		} {
			ours, ourErr := d.vars(s.request(server), serve)
			switch {
			case ours == nil && theirs == nil:
			case ours == nil:
				// It must be the script that is refused: there is none, or the request cannot be put in words for PHP.
				if status := judgedStatus(ourErr); status < 400 || status >= 500 {
					t.Errorf("%s: %+v is refused with %d: %v", way, s, status, ourErr)
				}
			case theirs == nil:
				if header.Get("Content-Length") != "" || len(r.TransferEncoding) > 0 {
					return // php_fastcgi refuses some bodies, or loses the race with an answer
				}
				t.Errorf("%s: %+v reaches PHP, and php_fastcgi refuses it: %v", way, s, err)
			default:
				for _, difference := range differences(theirs, ours, header) {
					t.Errorf("%s: %+v: %s", way, s, difference)
				}
			}
		}
	})
}

var differSamples = []sample{
	{"GET", "/index.php", "Host: a", "", "", 0, 0},
	{"GET", "/index.php/info/x.php?a=b&c[]=%20+d", "Host: a:8080\r\nCookie: a=b\r\nCookie: c=d\r\nUser-Agent: x", "", "ada", 1, 1},
	{"POST", "/index.php?", "Host: a\r\nContent-Length: 3\r\nContent-Type: text/plain", "abc", "", 0, 3},
	{"POST", "/index.php", "Host: a\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", "", 0, 0},
	{"GET", "/sub/a%20b.php/x", "Host: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nVia: 1.0 x", "", "", 0, 16},
	{"GET", "/index.php", "Host: a\r\nConnection: Upgrade, X-A\r\nUpgrade: Other\r\nX-A: b\r\nTE: trailers", "", "", 3, 4},
	{"GET", "/index.php", "Host: a\r\nX_Y: 1\r\nX-Y: 2\r\nProxy: http://evil\r\nHOST_: b\r\nX.Z: 1", "", "", 4, 9},
	{"GET", "//index.php/../index.php", "Host: a\r\nEarly-Data: 1\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nAlt-Svc: x", "", "", 2, 25},
	{"GET", "/%C3%BC.php/%2e%2e/x", "Host: [::1]:80\r\nRange: bytes=0-\r\nExpect: 100-continue", "", "", 0, 0},
	{"HEAD", "http://b/index.php", "Host: a\r\nAuthorization: Basic YWRhOng=", "", "", 0, 0},
	{"GET", "/index.php", "Host: a\r\nEarly-Data: 1", "", "", 0, 0}, // of a proxy before us
	{"GET", "/index.php", "Host: a\r\nConnection: Upgrade\r\nUpgrade:", "", "", 0, 0},
	{"GET", "/index.php", "Host: a\r\nX-Forwarded-For:", "", "", 3, 16}, // trusted
	{"OPTIONS", "/index.php%2fx", "Host: a", "", "", 0, 0},
}
