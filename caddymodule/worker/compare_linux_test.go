package worker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// plain is php-cgi as the ordinary pool runs it, for the reference.
type plain struct {
	*instance
}

// newPlain starts a php-cgi with the settings of s.
func newPlain(s *site) *plain {
	s.tb.Helper()
	o := s.opts
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	l, err := phpbin.StartSingle(ctx, o)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			s.tb.Error(err)
		}
	})
	p, err := l.Launch(ctx)
	if err != nil {
		s.tb.Fatal(err)
	}
	return &plain{&instance{Process: plainProcess{p}, site: s, conn: fastcgi.NewConn(p.Conn())}}
}

// plainProcess is a php-cgi of which only the methods of phpbin are used.
type plainProcess struct{ *phpbin.Process }

func (plainProcess) Conn() *fastcgi.Conn                         { return nil }
func (plainProcess) Drain(context.Context) (pool.Process, error) { return nil, errors.ErrUnsupported }
func (plainProcess) ScriptEnd() (string, bool)                   { return "", false }
func (plainProcess) Activity(int) (pool.Activity, error) {
	return pool.Activity{}, errors.ErrUnsupported
}

// run runs the script of a site's directory.
func (p *plain) run(script string, r request) result {
	if r.params == nil {
		r.params = map[string]string{}
	}
	r.params = maps.Clone(r.params)
	r.params["SCRIPT_FILENAME"] = p.site.dir + "/" + script
	return p.do(r)
}

// comparison is a script and the requests for it, which must get the same responses from
// a worker script as from plain PHP.
type comparison struct {
	name, php string
	requests  []request
}

// text returns what is compared of a response.
func (r result) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, "status", r.status, "error", r.err != nil)
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		fmt.Fprintln(&b, name, r.header[name])
	}
	fmt.Fprintf(&b, "%s\nstderr: %s", r.body, r.stderr)
	return b.String()
}

// compare runs comparisons with a worker script and with plain PHP.
func compare(t *testing.T, list []comparison, change ...func(*site)) {
	t.Helper()
	s := newSite(t, `<?php while (frankenphp_handle_request(static function () {
		include __DIR__ . '/' . $_SERVER['TEST_SCRIPT'];
	})) {}`, change...)
	s.single = true // as the reference, because $_SERVER has PHP_FCGI_CHILDREN
	for i, c := range list {
		s.write(fmt.Sprintf("%d.php", i), c.php)
	}
	reference := newPlain(s)
	s.start()
	w := s.mustLaunch()
	for range 2 { // nothing of the first round may be left
		for i, c := range list {
			for _, r := range c.requests {
				script := fmt.Sprintf("%d.php", i)
				r.params = maps.Clone(r.params)
				if r.params == nil {
					r.params = map[string]string{}
				}
				r.params["TEST_SCRIPT"] = script
				want := reference.run(script, r).text()
				got := withoutCaller(w.do(r).text())
				select {
				case <-w.Done():
					w = s.mustLaunch()
				default:
					if !w.conn.Reusable() { // the script ends
						w.waitDone()
						w = s.mustLaunch()
					}
				}
				if got != want {
					t.Errorf("%s: %s %s %q: got - want:\n%s", c.name, r.method, r.uri, r.header, difference(got, want))
				}
			}
		}
	}
}

// withoutCaller removes the calls by which the worker script runs the script from stack
// traces.
func withoutCaller(text string) string {
	return caller.ReplaceAllStringFunc(text, func(frames string) string {
		number, _, _ := strings.Cut(frames, " ")
		return number + " {main}"
	})
}

var caller = regexp.MustCompile(`#\d+ [^ ]*/worker\.php\(2\): include\([^)]*\)\n#\d+ [^ ]*/worker\.php\(1\): frankenphp_handle_request\([^)]*\)\n#\d+ \{main\}`)

// difference returns the lines that only one of the texts has.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	const most = 20
	return "+ " + strings.Join(a[:min(len(a), most)], "\n+ ") + "\n- " + strings.Join(b[:min(len(b), most)], "\n- ")
}

func get(uris ...string) []request {
	var list []request
	for _, uri := range uris {
		list = append(list, request{uri: uri})
	}
	return list
}

func post(contentType, body string) request {
	return request{method: http.MethodPost, uri: "/form?q=1", header: map[string]string{"Content-Type": contentType}, body: body}
}

const form = "application/x-www-form-urlencoded"

func cookie(values ...string) []request {
	var list []request
	for _, v := range values {
		list = append(list, request{uri: "/", header: map[string]string{"Cookie": v}})
	}
	return list
}

var superglobals = []comparison{
	{"query", `<?php var_dump($_GET, $_REQUEST, $_POST);`, get("/", "/?a=1", "/?a[b]=1&a[c][]=2&a[c][]=3&x=%20y&p=a+b", "/?a.b=1&c%20d=2&=3&e", "/?a=1&a=2", "/?%F0%9F%98%80=1&&&")},
	{"cookies", `<?php var_dump($_COOKIE);`, cookie("a=1", "k=v%20w; a.b=1; k=second; p=a+b", "arr[x]=1; arr[y]=2; arr[]=3; arr[]=4", "a.b=1; a_b=2", "a[b=1; c d=2", "__Host-x=1; __Secure-y=2; ..Host-z=3", "x; y=; =z; ;;", " a=1;\tb=2; a%20b=1", "a=1; a[x]=2", "1=a; 2=b; 1=c")},
	{"basic auth", `<?php var_dump($_SERVER['PHP_AUTH_USER'] ?? null, $_SERVER['PHP_AUTH_PW'] ?? null, $_SERVER['PHP_AUTH_DIGEST'] ?? null);`, []request{
		{uri: "/", header: map[string]string{"Authorization": "Basic dXNlcjpwYXNz"}},
		{uri: "/", header: map[string]string{"Authorization": "basic dXNlcjpwYTpzcw=="}},
		{uri: "/", header: map[string]string{"Authorization": "Basic dXNlcg=="}},
		{uri: "/", header: map[string]string{"Authorization": "Digest username=x"}},
		{uri: "/", header: map[string]string{"Authorization": "Bearer x"}},
		{uri: "/"},
	}},
	{
		"server", `<?php $s = $_SERVER; foreach (['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'SCRIPT_FILENAME', 'PHP_POOL_X', 'FRANKENPHP_WORKER'] as $n) { unset($s[$n]); } ksort($s); var_dump($s, is_int($_SERVER['REQUEST_TIME']), is_float($_SERVER['REQUEST_TIME_FLOAT']), abs(time() - $_SERVER['REQUEST_TIME']) < 20);`,
		get("/", "/path/info?x=1"),
	},
	{"form", `<?php var_dump($_POST, $_REQUEST, $_FILES, file_get_contents('php://input'));`, []request{
		post(form, "a=1&b[]=2&b[]=3&q=post"),
		post(form+"; charset=UTF-8", "a=%00&b=x+y"),
		post("Application/X-WWW-Form-Urlencoded", "a=1"),
		post("application/x-www-form-urlencodedx", "a=1"),
		post("application/json", `{"a":1}`),
		post("", "a=1"),
		post(form, strings.Repeat("a", 5000)+"="+strings.Repeat("b", 100000)),
		{method: http.MethodPut, uri: "/", header: map[string]string{"Content-Type": form}, body: "a=1"},
		{method: http.MethodPost, uri: "/"},
	}},
	{"request order", `<?php var_dump($_REQUEST);`, []request{
		{method: http.MethodPost, uri: "/?a=get&x[a]=1&x[b]=2", header: map[string]string{"Content-Type": form, "Cookie": "a=cookie"}, body: "a=post&x[b]=3"},
	}},
	{"included superglobals", `<?php file_put_contents(__DIR__ . '/included.php', '<?php var_dump($_REQUEST, $_SERVER["REQUEST_URI"]);'); include __DIR__ . '/included.php';`, get("/?z=1", "/?z=2")},
	{"headers of the request", `<?php $h = getallheaders(); ksort($h); var_dump($h, count(apache_request_headers()));`, []request{
		{method: http.MethodPost, uri: "/", header: map[string]string{"X-Foo-Bar": "1"}, params: map[string]string{}, body: ""},
		{uri: "/", params: map[string]string{"HTTP_X": "a", "HTTP_ÄÖ": "b"}},
		{uri: "/", params: map[string]string{"CONTENT_TYPE": "text/plain"}},
	}},
	{
		"filter", `<?php
		$_GET['q'] = 'changed';
		var_dump(filter_input(INPUT_GET, 'q', FILTER_VALIDATE_INT), filter_input(INPUT_GET, 'no'), filter_input(INPUT_GET, 'q'),
			filter_has_var(INPUT_GET, 'q'), filter_has_var(INPUT_POST, 'q'), filter_input(INPUT_SERVER, 'REQUEST_METHOD'),
			filter_input(INPUT_GET, 'no', FILTER_VALIDATE_INT, ['options' => ['default' => 3]]),
			filter_input(INPUT_GET, 'no', FILTER_VALIDATE_INT, FILTER_NULL_ON_FAILURE),
			filter_input(INPUT_GET, 'q', FILTER_VALIDATE_INT, ['flags' => FILTER_NULL_ON_FAILURE]),
			filter_input(INPUT_GET, 'a', FILTER_DEFAULT, FILTER_REQUIRE_ARRAY),
			filter_input_array(INPUT_GET, ['q' => FILTER_VALIDATE_INT, 'x' => FILTER_DEFAULT]), filter_input_array(INPUT_GET, ['q' => FILTER_DEFAULT, 'x' => FILTER_DEFAULT], false),
			filter_input_array(INPUT_POST), filter_input_array(INPUT_COOKIE, ['c' => FILTER_DEFAULT]), filter_input_array(INPUT_GET));
		try { filter_input(17, 'x'); } catch (ValueError $e) { echo $e->getMessage(); }
		try { filter_has_var(17, 'x'); } catch (ValueError $e) { echo $e->getMessage(); }`,
		append(get("/", "/?q=12", "/?q=x&a[]=1"), cookie("c=1")...),
	},
}

func TestCompare_Superglobals(t *testing.T) { compare(t, superglobals) }

func TestCompare_SuperglobalsSettings(t *testing.T) {
	compare(t, superglobals, func(s *site) {
		s.ini("request_order", "")
		s.ini("register_argc_argv", "1")
		s.ini("enable_post_data_reading", "0")
	})
}
