package listener

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

func TestListener_Options(t *testing.T) {
	for _, c := range []struct {
		l    *Listener
		want string // part of the error
	}{
		{&Listener{Listen: "unix//run/php.sock"}, ""},
		{&Listener{Listen: "unix//run/php.sock|0600", Owner: "root:root"}, ""},
		{&Listener{Listen: "unix//run/php.sock", Owner: "4242:4243"}, ""},
		{&Listener{Listen: "unix//run/php.sock", Owner: "-1"}, "does not exist"},
		{&Listener{Listen: "unix/@php"}, ""},
		{&Listener{Listen: ":9000", Allow: []string{"10.0.0.1", "fd00::/8"}}, ""},
		{&Listener{Listen: "fd/3"}, ""},
		{&Listener{}, "needs an address"},
		{&Listener{Listen: "/run/php.sock"}, "unix//run/php.sock"},
		{&Listener{Listen: "9000"}, "write one port"},
		{&Listener{Listen: ":9000-9001"}, "write one port"},
		{&Listener{Listen: "udp/:9000"}, "stream socket"},
		{&Listener{Listen: "unixgram//run/php.sock"}, "stream socket"},
		{&Listener{Listen: "unix/"}, "path of the socket is missing"},
		{&Listener{Listen: "unix//run/php.sock|0888"}, "not the mode"},
		{&Listener{Listen: "unix//run/php.sock|0060"}, "not the mode"},
		{&Listener{Listen: ":9000", Owner: "root"}, "remove it"},
		{&Listener{Listen: "unix/@php", Owner: "root"}, "remove it"},
		{&Listener{Listen: "unix//run/php.sock", Owner: "no-such-user"}, "does not exist"},
		{&Listener{Listen: "unix//run/php.sock", Owner: ":no-such-group"}, "does not exist"},
		{&Listener{Listen: "unix//run/php.sock", Allow: []string{"10.0.0.1"}}, "remove allow"},
		{&Listener{Listen: ":9000", Allow: []string{"example.com"}}, "IP address"},
		{&Listener{Listen: ":9000", MaxConnections: -1}, "at least 1"},
		{&Listener{Listen: ":9000", Status: "status"}, "write /status"},
		{&Listener{Listen: ":9000", Status: "/s", Ping: "/s"}, "change one"},
		{&Listener{Listen: ":9000", Root: "www"}, "not absolute"},
		{&Listener{Listen: "{env.NO_SUCH_VARIABLE}"}, "has no value"},
	} {
		err := c.l.provision()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.l.Listen, err, c.want)
		}
	}
}

func TestListener_Allows(t *testing.T) {
	tcp := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	local, some := &Listener{Listen: ":9000"}, &Listener{Listen: ":9000", Allow: []string{"10.0.0.0/8", "192.0.2.1", "::1"}}
	for _, l := range []*Listener{local, some} {
		l.logger = zap.NewNop()
		if err := l.provision(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		remote          net.Addr
		byLocal, bySome bool
	}{
		{tcp("127.0.0.1:1"), true, false},
		{tcp("[::1]:1"), true, true},
		{tcp("[::ffff:127.0.0.1]:1"), true, false},
		{tcp("10.9.8.7:1"), false, true},
		{tcp("[::ffff:10.9.8.7]:1"), false, true},
		{tcp("192.0.2.1:1"), false, true},
		{tcp("192.0.2.2:1"), false, false},
		{&net.UnixAddr{}, true, true},
	} {
		if got, want := local.Allows(c.remote), c.byLocal; got != want {
			t.Errorf("without allow, %v: got %v, want %v", c.remote, got, want)
		}
		if got, want := some.Allows(c.remote), c.bySome; got != want {
			t.Errorf("with allow, %v: got %v, want %v", c.remote, got, want)
		}
	}
}

func TestStderr_Format(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"a message\n"}, "PHP message: a message"},
		{[]string{"PHP Warning:  a\nPHP Warning:  b\n"}, "PHP message: PHP Warning:  a; PHP message: PHP Warning:  b"},
		{[]string{"PHP Fatal error:  x\nStack trace:\n#0 {main}\n"}, "PHP message: PHP Fatal error:  x\nStack trace:\n#0 {main}"},
		{[]string{"one\n", "PHP Notice:  two\n"}, "PHP message: one; PHP message: PHP Notice:  two"},
		{[]string{"o", "ne\n", "\n", "two\n"}, "PHP message: one\n\ntwo"},
		{[]string{""}, ""},
	} {
		var s stderrLog
		var got []byte
		for _, part := range c.parts {
			got = append(got, s.format([]byte(part))...)
		}
		if string(got) != c.want {
			t.Errorf("%q: got %q, want %q", c.parts, got, c.want)
		}
	}
}

func TestPHPValues_Lines(t *testing.T) {
	options := map[string]string{"memory_limit": "64M", "display_errors": "on", "open_basedir": "/srv:/tmp", "log_errors": ""}
	for line, want := range map[string]bool{
		"memory_limit=64M": true, "memory_limit = 64M": true, `memory_limit="64M"`: true, "memory_limit=64M ; comment": true,
		"memory_limit=65M": false, "Memory_limit=64M": false, "display_errors=1": true, "display_errors=0": false, "log_errors=off": true,
		"open_basedir=/srv:/tmp": true, "open_basedir=/srv": false, "post_max_size=1M": false, "memory_limit": false, "[PATH=/]": false,
		`open_basedir="/srv`: false, "=": false,
	} {
		s, err := parseSetting(line)
		if got := err == nil && sameSetting(options, s); got != want {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
	if got := slices.Collect(settingLines("\n a=1 \n;comment\n\nb=2")); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("got %q", got)
	}
}

// A request that nginx sends for a small page.
func TestAllocations_Request(t *testing.T) {
	site := testfiles.Write(t, "index.php")
	l := startListener(t, nil)
	client := connect(t, l)
	send := func() {
		if err := sendRequest(client, site); err != nil {
			t.Fatal(err)
		}
	}
	send()
	n := testing.AllocsPerRun(200, send)
	t.Logf("%v allocations for a request, with those of its client and of the worker", n)
	if n > maxAllocations {
		t.Errorf("got %v allocations, want at most %d", n, maxAllocations)
	}
}

// A panic ends the connection and nothing else: the only worker serves the next request.
func TestListener_Panic(t *testing.T) {
	site := testfiles.Write(t, "index.php")
	var panics atomic.Bool
	panics.Store(true)
	core, logs := observer.New(zap.InfoLevel)
	l := startListener(t, zap.New(core))
	l.access = &accessLog{logger: zap.New(core, zap.Hooks(func(zapcore.Entry) error {
		if panics.Load() {
			panic("for the test")
		}
		return nil
	}))}
	if err := sendRequest(connect(t, l), site); err == nil {
		t.Error("got no error for the request that has panicked")
	}
	panics.Store(false)
	if err := sendRequest(connect(t, l), site); err != nil {
		t.Error(err)
	}
	if got := logs.FilterMessage("panic in a request").All(); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].ContextMap()["stack"]), "logAccess") {
		t.Errorf("got %v, want one log record with the stack", got)
	}
}

// startListener starts a listener with a pool of one worker. logger may be nil.
func startListener(t *testing.T, logger *zap.Logger) *Listener {
	t.Helper()
	p := livetest.NewPool(t, 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Reply("Content-type: text/html\r\n\r\nhello")
	}), nil)
	l := &Listener{Listen: "unix/" + t.TempDir() + "/s"}
	if err := l.Provision(caddyContext(t), func(string, string) (*live.Pool, error) { return p, nil }); err != nil {
		t.Fatal(err)
	}
	if logger != nil {
		l.logger = logger
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

func connect(t *testing.T, l *Listener) *fastcgi.Conn {
	t.Helper()
	nc, err := net.Dial("unix", l.address.Host)
	if err != nil {
		t.Fatal(err)
	}
	client := fastcgi.NewConn(nc)
	t.Cleanup(func() { client.Close() })
	return client
}

// sendRequest sends a request for a script of the site, and reads its response.
func sendRequest(client *fastcgi.Conn, site string) error {
	r := fastcgi.NewRequest()
	defer r.Free()
	for _, pair := range [][2]string{
		{"QUERY_STRING", ""},
		{"REQUEST_METHOD", "GET"},
		{"SCRIPT_NAME", "/index.php"},
		{"REQUEST_URI", "/index.php"},
		{"DOCUMENT_ROOT", site},
		{"SCRIPT_FILENAME", site + "/index.php"},
		{"REMOTE_ADDR", "127.0.0.1"},
		{"CONTENT_LENGTH", ""},
		{"HTTP_HOST", "localhost"},
	} {
		r.AddParam(pair[0], pair[1])
	}
	resp, err := client.RoundTrip(context.Background(), r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// maxAllocations has those of a request, of which the listener and the pool take two,
// and two more.
const maxAllocations = 47

// caddyContext returns a context for Provision.
func caddyContext(t *testing.T) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	return ctx
}
