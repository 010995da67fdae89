package worker_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// sessionClient keeps cookies as a browser does.
type sessionClient struct {
	do      func(r request) result
	cookies map[string]string
}

func (c *sessionClient) get(t *testing.T, uri string) result {
	t.Helper()
	var pairs []string
	for _, name := range []string{"PHPSESSID", "OTHER"} {
		if value, ok := c.cookies[name]; ok {
			pairs = append(pairs, name+"="+value)
		}
	}
	r := request{uri: uri}
	if len(pairs) > 0 {
		r.header = map[string]string{"Cookie": strings.Join(pairs, "; ")}
	}
	res := c.do(r)
	if res.err != nil {
		t.Fatalf("%s: %v; stderr %q", uri, res.err, res.stderr)
	}
	for _, line := range res.header["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		} else {
			c.cookies[cookie.Name] = cookie.Value
		}
	}
	return res
}

const sessionScript = `<?php
	switch ($_GET['do'] ?? '') {
		case 'count': session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; break;
		case 'close': session_start(); $_SESSION['n']++; session_write_close(); $_SESSION['n'] = 100; echo 'closed'; break;
		case 'abort': session_start(); $_SESSION['n'] = 100; session_abort(); echo 'aborted'; break;
		case 'destroy': session_start(); session_destroy(); echo json_encode([session_id(), $_SESSION]); break;
		case 'regenerate': session_start(); session_regenerate_id(true); echo $_SESSION['n'] ?? 'none'; break;
		case 'other': session_name('OTHER'); session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; session_write_close(); session_name('PHPSESSID'); break;
		case 'id': echo json_encode([session_id() === '' ? '' : 'id', $_SESSION ?? null, session_status(), session_name()]); break;
		case 'refresh': session_start(); setcookie(session_name(), session_id(), 0, '/own'); echo $_SESSION['n'] ?? 'none'; break;
		case 'exit': session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; exit($_SESSION['n'] . ' exit');
		case 'throw': session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; throw new Exception('x');
		case 'limiter': session_cache_limiter('public'); session_start(); echo $_SESSION['n'] ?? 'none'; session_write_close(); session_cache_limiter('nocache'); break;
	}`

// userHandler is a worker script whose sessions are those of a handler object, as of
// Symfony and Laravel.
const userHandler = `
	class Handler implements SessionHandlerInterface {
		private $dir;
		function __construct($dir) { $this->dir = $dir; }
		function open($path, $name): bool { return true; }
		function close(): bool { return true; }
		function read($id): string { $f = "$this->dir/user_$id"; return is_file($f) ? file_get_contents($f) : ''; }
		function write($id, $data): bool { file_put_contents("$this->dir/user_$id", $data); return true; }
		function destroy($id): bool { @unlink("$this->dir/user_$id"); return true; }
		function gc($lifetime): int { return 0; }
	}
	session_set_save_handler(new Handler(__DIR__), true);`

func TestSession(t *testing.T) {
	steps := strings.Fields("id count close A:count count id A:count close count abort count other A:other other count limiter refresh regenerate count destroy id count exit count A:exit A:count throw count A:count")
	for name, c := range map[string]struct {
		handler string
		ini     [][2]string
	}{
		"files":       {"", nil},
		"strict mode": {"", [][2]string{{"session.use_strict_mode", "1"}}},
		"handler":     {userHandler, nil},
		"serialize":   {"", [][2]string{{"session.serialize_handler", "php_serialize"}, {"session.cookie_lifetime", "3600"}, {"session.cookie_httponly", "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "<?php "+c.handler+` while (frankenphp_handle_request(static function () { include __DIR__ . '/request.php'; })) {}`)
			for _, setting := range c.ini {
				s.ini(setting[0], setting[1])
			}
			s.write("request.php", sessionScript)
			s.write("plain.php", "<?php "+c.handler+" include __DIR__ . '/request.php';")
			reference := newPlain(s)
			s.start()
			w := s.mustLaunch()
			clients := map[string][2]*sessionClient{}
			for _, name := range []string{"A", "B"} {
				clients[name] = [2]*sessionClient{
					{func(r request) result { return reference.run("plain.php", r) }, map[string]string{}},
					{func(r request) result { return w.do(r) }, map[string]string{}},
				}
			}
			for i, step := range steps {
				if step == "id" && c.handler != "" {
					continue // it is set before session_start()
				}
				name, do, ok := strings.Cut(step, ":")
				if !ok {
					name, do = "B", step
				}
				var texts [2]string
				for j, client := range clients[name] {
					res := client.get(t, "/?do="+do)
					for k, line := range res.header["Set-Cookie"] {
						cookie, _, _ := strings.Cut(line, "=")
						_, attributes, _ := strings.Cut(line, ";")
						if !strings.Contains(line, "deleted") {
							line = cookie + "=id;" + attributes
						}
						res.header["Set-Cookie"][k] = withoutExpiry.ReplaceAllString(line, "")
					}
					res.stderr = ""
					texts[j] = res.text()
				}
				if texts[0] != texts[1] {
					t.Errorf("step %d, %s of client %s: got - want:\n%s", i, do, name, difference(texts[1], texts[0]))
				}
				if !w.conn.Reusable() {
					w.waitDone()
					w = s.mustLaunch()
				}
			}
			if a, b := clients["A"][1].cookies["PHPSESSID"], clients["B"][1].cookies["PHPSESSID"]; a == b {
				t.Error("both clients have the same session")
			}
		})
	}
}

var withoutExpiry = regexp.MustCompile(`expires=[^;]*;|Expires=[^;]*;`)

// TestSession_Interleaved has two clients whose requests alternate a thousand times.
func TestSession_Interleaved(t *testing.T) {
	s := newSite(t, loop)
	s.write("request.php", `<?php
		session_start();
		$_SESSION['who'] ??= $_GET['who'];
		$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
		echo $_SESSION['who'], ' ', $_SESSION['n'], ' ', $_GET['who'], ' ', $_COOKIE['PHPSESSID'] ?? '-', ' ', session_id();`)
	w := s.start().mustLaunch()
	clients := []*sessionClient{{func(r request) result { return w.do(r) }, map[string]string{}}, {func(r request) result { return w.do(r) }, map[string]string{}}}
	for i := range 1000 {
		for who, c := range clients {
			known := c.cookies["PHPSESSID"]
			res := c.get(t, fmt.Sprintf("/?who=%d", who))
			id := c.cookies["PHPSESSID"]
			if known == "" {
				known = "-"
			}
			if want := fmt.Sprintf("%d %d %d %s %s", who, i+1, who, known, id); res.body != want {
				t.Fatalf("got %q, want %q", res.body, want)
			}
		}
	}
}
