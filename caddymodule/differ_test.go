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
	caddyfastcgi "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/fastcgi"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// intended lists the variables that differ from php_fastcgi's on purpose: the reason,
// and a function that reports whether two values differ only in that way. All other
// variables must be the same for every request.
var intended = map[string]struct {
	reason string
	allows func(theirs, ours string) bool
}{
	"REDIRECT_STATUS": {
		"php-cgi may be built to reject requests without it (cgi.force_redirect); other web servers send it",
		func(_, ours string) bool { return ours == "200" },
	},
	"REQUEST_METHOD": {
		"methods are case-sensitive (RFC 9110 section 9.1); php_fastcgi converts them to upper case, and GeT to POST",
		func(theirs, ours string) bool {
			return strings.ToUpper(ours) == theirs || strings.ToUpper(ours) == http.MethodGet && ours != http.MethodGet
		},
	},
	"CONTENT_LENGTH": {
		"php_fastcgi sends the client's header, even if it is empty; ours is the length of the body that is sent",
		func(_, ours string) bool { return isNumber(ours) },
	},
	"HTTP_CONTENT_LENGTH": {
		"as CONTENT_LENGTH, and not set without a body",
		func(_, ours string) bool { return ours == "" || isNumber(ours) },
	},
	"CONTENT_TYPE": {
		"php_fastcgi sends the type of a form for a body without a type; nginx and Apache do not",
		func(theirs, ours string) bool { return theirs == "application/x-www-form-urlencoded" && ours == "" },
	},
	"HTTP_X_FORWARDED_FOR": {
		"an empty one, from a trusted proxy on a unix socket, is not sent",
		func(theirs, ours string) bool { return theirs == "" && ours == "" },
	},
	"HTTP_COOKIE": {
		"several fields are joined with \"; \" (RFC 6265 section 5.4); php_fastcgi joins them with a comma",
		func(theirs, ours string) bool {
			return strings.ReplaceAll(ours, "; ", ", ") == strings.ReplaceAll(theirs, "; ", ", ")
		},
	},
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// differ sends requests to php_fastcgi's transport, to our handler and to our
// transport, and compares the variables that PHP receives.
type differ struct {
	theirs, proxied *reverseproxy.Handler
	ours            *Handler

	mu   sync.Mutex
	seen map[string]string // variables of the last request; nil if PHP got none
}

func newDiffer(tb testing.TB) *differ {
	tb.Helper()
	d := new(differ)
	root := testfiles.Write(tb, "index.php", "sub/a b.php", "ü.php")
	d.ours = fakeSite(tb, root, 1, livetest.Serve(d.respond))
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
			go fastcgitest.Serve(c, d.respond) // the client closes it
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

// respond is PHP: it records the variables.
func (d *differ) respond(r *fastcgitest.Request) fastcgitest.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = r.Params
	return fastcgitest.OK("")
}

// vars returns the variables that PHP receives when serve handles the request, or nil
// if the request does not reach PHP.
func (d *differ) vars(r *http.Request, serve func(http.ResponseWriter, *http.Request) error) (map[string]string, error) {
	d.mu.Lock()
	d.seen = nil
	d.mu.Unlock()
	err := serve(httptest.NewRecorder(), r)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen, err
}

// sample describes a request and the connection it comes from.
type sample struct {
	method, target, fields, body, user string
	peer, flags                        uint8 // index in peers; bits as in request
}

// peers are forms of http.Request.RemoteAddr.
var peers = []string{"192.0.2.1:1234", "[2001:db8::1]:1", "[fe80::1%eth0]:1", "@", ""}

// request returns the request as Caddy's server passes it to handlers, or nil if the
// server rejects it.
func (s *sample) request(server *caddyhttp.Server) *http.Request {
	text := s.method + " " + s.target + " HTTP/1.1\r\n" + s.fields + "\r\n\r\n" + s.body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || !acceptable(r) {
		return nil
	}
	r.RemoteAddr = peers[int(s.peer)%len(peers)]
	if s.flags&1 != 0 {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, HandshakeComplete: s.flags&2 != 0}
	}
	if s.flags&4 != 0 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	}
	if s.flags&8 != 0 {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv6loopback, Port: 443})))
	}
	r = prepareRequest(r, server)
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, s.flags&16 != 0)
	if s.user != "" {
		r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", s.user)
	}
	return r
}

// acceptable reports whether net/http's server passes a request to handlers. It makes
// checks that http.ReadRequest does not make.
func acceptable(r *http.Request) bool {
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

// differences returns the unintended differences between the variables of php_fastcgi
// and ours. fields are the header fields of the request.
func differences(theirs, ours map[string]string, fields http.Header) []string {
	var list []string
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		theirValue, theirsOK := theirs[name]
		ourValue, oursOK := ours[name]
		if theirsOK == oursOK && theirValue == ourValue || ambiguous(name, fields) {
			continue
		}
		if d, ok := intended[name]; ok && d.allows(theirValue, ourValue) {
			continue
		}
		list = append(list, name+": got "+ourValue+", php_fastcgi has "+theirValue)
	}
	return list
}

// ambiguous reports whether php_fastcgi sets the variable from a header field whose
// name has characters other than letters, digits and "-". php_pool drops such a
// field, because X_Y and X-Y become the same variable (GHSA-f59h-q822-g45g).
func ambiguous(variable string, fields http.Header) bool {
	for name := range fields {
		plain := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
		if !plain && "HTTP_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_") == variable {
			return true
		}
	}
	return false
}

// FuzzVariables checks that PHP receives the same variables as behind php_fastcgi,
// except for the intended differences.
func FuzzVariables(f *testing.F) {
	for _, s := range differSamples {
		f.Add(s.method, s.target, s.fields, s.body, s.user, s.peer, s.flags)
	}
	d := newDiffer(f)
	server := new(caddyhttp.Server)
	f.Fuzz(func(t *testing.T, method, target, fields, body, user string, peer, flags uint8) {
		s := sample{method, target, fields, body, user, peer, flags}
		r := s.request(server)
		if r == nil {
			return
		}
		header := r.Header.Clone()
		theirs, err := d.vars(r, func(w http.ResponseWriter, r *http.Request) error { return d.theirs.ServeHTTP(w, r, nil) })
		for way, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
			"direct": func(w http.ResponseWriter, r *http.Request) error {
				return d.ours.serveDirect(w, r, requestStateFrom(r))
			},
			"proxied": func(w http.ResponseWriter, r *http.Request) error { return d.proxied.ServeHTTP(w, r, nil) },
		} {
			ours, ourErr := d.vars(s.request(server), serve)
			switch {
			case ours == nil && theirs == nil:
			case ours == nil:
				// The script does not exist, or a parameter is not valid for PHP.
				if status := handlerStatus(ourErr); status < 400 || status >= 500 {
					t.Errorf("%s: %+v: got %d, want 4xx: %v", way, s, status, ourErr)
				}
			case theirs == nil:
				if header.Get("Content-Length") != "" || len(r.TransferEncoding) > 0 {
					return // php_fastcgi rejects some bodies, or closes the connection before it has read the response
				}
				t.Errorf("%s: %+v reaches PHP; php_fastcgi rejects it: %v", way, s, err)
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
	{"GET", "/index.php", "Host: a\r\nEarly-Data: 1", "", "", 0, 0}, // from a proxy in front
	{"GET", "/index.php", "Host: a\r\nConnection: Upgrade\r\nUpgrade:", "", "", 0, 0},
	{"GET", "/index.php", "Host: a\r\nX-Forwarded-For:", "", "", 3, 16}, // trusted
	{"OPTIONS", "/index.php%2fx", "Host: a", "", "", 0, 0},
}
