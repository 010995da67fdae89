//go:build linux

package security

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// advisory is an attack that worked on PHP, on Caddy or on another web server. The
// target is sent as it is written here.
type advisory struct {
	id      string
	target  string
	headers []string
	body    string
	status  int    // with index off
	has     string // in the body, with index off
	lacks   string
}

const (
	injection = "<?php echo 'was in', 'jected';"
	injected  = "was injected"
)

// advisories are the attacks that php_pool has to resist, with their numbers.
var advisories = []advisory{
	// The query as php-cgi's command line.
	{id: "CVE-2012-1823", target: "/secret.php?-s", status: 200, has: "fine", lacks: "hunter2"},
	{id: "CVE-2012-1823", target: "/secret.php?" + injects("-"), body: injection, status: 200, has: "fine", lacks: injected},
	{id: "CVE-2012-2311", target: "/secret.php?%2ds", status: 200, has: "fine", lacks: "hunter2"},
	{id: "CVE-2012-2335", target: "/secret.php?+-s", status: 200, has: "fine", lacks: "hunter2"},
	{id: "CVE-2024-4577", target: "/secret.php?" + injects("%AD"), body: injection, status: 200, has: "fine", lacks: injected},
	{id: "CVE-2024-8926", target: "/secret.php?" + injects("%E2%80%90"), body: injection, status: 200, has: "fine", lacks: injected},
	// cgi.force_redirect and its variables.
	{id: "CVE-2024-8927", target: "/server.php", headers: []string{"Redirect-Status: 1"}, status: 200, has: `"REDIRECT_STATUS": "200"`},
	{id: "REDIRECT_URL", target: "/server.php", headers: []string{"Redirect-Url: /x", "Path-Translated: /etc/passwd"}, status: 200, has: `/server.php"`, lacks: `"REDIRECT_URL"`},
	{id: "PATH_TRANSLATED", target: "/server.php", headers: []string{"Path-Translated: /etc/passwd"}, status: 200, lacks: `"PATH_TRANSLATED"`},
	// PATH_INFO.
	{id: "cgi.fix_pathinfo", target: "/uploads/evil.jpg/x.php", status: 404},
	{id: "cgi.fix_pathinfo", target: "/uploads/evil.jpg/.php", status: 404},
	{id: "CVE-2019-11043", target: "/server.php/PHP%0Ais.php?" + strings.Repeat("Q", 1800), status: 200, has: `"PATH_INFO": "/PHP\nis.php"`},
	{id: "CVE-2019-11043", target: "/server.php%0A/x?" + strings.Repeat("Q", 1800), status: 404},
	{id: "php-src PR 23411", target: "/missing.php/" + strings.Repeat("a", 500), status: 404},
	{id: "empty SCRIPT_FILENAME", target: "/.php", status: 404},
	// NUL, and names that the system normalizes.
	{id: "Caddy PR 4614", target: "/uploads/evil.jpg%00.php", status: 400},
	{id: "Caddy PR 4614", target: "/hello.php%00/x.php", status: 400},
	{id: "CVE-2013-4547", target: "/uploads/evil.jpg%20%00.php", status: 400},
	{id: "Caddy PR 4574", target: "/uploads/evil.php.", status: 404},
	{id: "Caddy PR 4574", target: "/uploads/evil.php%2e", status: 404},
	{id: "Caddy PR 4574", target: "/uploads/evil.php%20", status: 404},
	{id: "Caddy PR 4574", target: "/uploads/evil.php::$DATA", status: 404},
	{id: "Caddy PR 4574", target: "/uploads/EVIL~1.PHP", status: 404},
	{id: "CVE-2017-15715", target: "/uploads/evil.php%0A", status: 404},
	// Where a path is split, and what case folding turns into .php.
	{id: "CVE-2026-27590, GHSA-5r3v-vc8m-m96g", target: "/uploads/%C8%BA%C8%BA%C8%BA%C8%BAevil.php.txt.php", status: 404},
	{id: "CVE-2026-45135, GHSA-m675-2p33-xv9g", target: "/uploads/evil.%EF%BD%90%EF%BD%88%EF%BD%90"},
	{id: "CVE-2026-45135, GHSA-m675-2p33-xv9g", target: "/uploads/evil.%EF%BD%90%EF%BD%88%EF%BD%90/x.php", status: 404},
	{id: "GHSA-3g8v-8r37-cgjm", target: "/uploads/evil.%F0%9D%97%BD%F0%9D%97%B5%F0%9D%97%BD"},
	{id: "GHSA-v4h7-cj44-8fc8", target: "/uploads/evil.pHP%CC%87", status: 404},
	{id: "CVE-2026-45135, case", target: "/uploads/EVIL.PHAR", status: 404},
	// Headers.
	{id: "CVE-2026-52845, GHSA-f59h-q822-g45g", target: "/server.php", headers: []string{"Remote_User: admin", "Remote-User_: admin"}, status: 200, lacks: `REMOTE_USER": "admin"`},
	{id: "CVE-2016-5385 (httpoxy)", target: "/server.php", headers: []string{"Proxy: http://evil.test"}, status: 200, lacks: `"HTTP_PROXY"`},
	{id: "params from clients", target: "/server.php", headers: []string{
		"Document-Root: /etc", "Script-Filename: /etc/passwd", "Php-Value: auto_prepend_file=php://input", "Fcgi-Role: FILTER", "Https: on",
	}, body: injection, status: 200, has: `"HTTP_DOCUMENT_ROOT": "/etc"`, lacks: `"DOCUMENT_ROOT": "/etc"`},
	{id: "params from clients", target: "/server.php?PHP_VALUE=auto_prepend_file=php://input", headers: []string{"PHP_VALUE: auto_prepend_file=php://input"}, body: injection, status: 200, lacks: `"PHP_VALUE"`},
	{id: "leaks", target: "/env.php", status: 200, lacks: "never-for-php"},
	// Out of the root.
	{id: "traversal", target: "/../outside.php", status: 404},
	{id: "traversal", target: "/%2e%2e/outside.php", status: 400},
	{id: "traversal", target: "/..%2foutside.php", status: 400},
	{id: "traversal", target: "/sub/..%5c..%5coutside.php", status: 404},
	{id: "traversal", target: `/sub\..\..\outside.php`, status: 404},
	{id: "traversal", target: "/hello.php/../../outside.php", status: 404},
	{id: "traversal", target: "/%252e%252e/outside.php", status: 404},
	{id: "traversal", target: "//outside.php", status: 404},
	{id: "traversal", target: "/hello.php%2f..%2f..%2foutside.php", status: 400},
	// Files that are not scripts: other types, uploads, copies.
	{id: "a pipe", target: "/uploads/pipe.php", status: 404},
	{id: "a directory", target: "/uploads/dir.php", status: 404},
	{id: "an upload", target: "/uploads/evil.phar", status: 404},
	{id: "an upload", target: "/uploads/evil.phar/x.php", status: 404},
	{id: "an upload", target: "/uploads/evil.phtml", status: 404},
	{id: "an upload", target: "/uploads/evil.jpg;.php", status: 404},
	{id: "an upload", target: "/uploads/evil.jpg%3f.php", status: 404},
	{id: "an upload", target: "/uploads/evil.jpg%0d%0a.php", status: 404},
	{id: "a backup", target: "/uploads/evil.php.bak", status: 404},
	{id: "a backup", target: "/uploads/evil.php~", status: 404},
}

// injects returns a query that would execute the body; dash starts an option.
func injects(dash string) string {
	return dash + "d+allow_url_include%3d1+" + dash + "d+auto_prepend_file%3dphp://input"
}

// TestAdvisories sends each attack to a site with a front
// controller and to one without: uploads are not executed, no secret is shown, and no
// worker crashes.
func TestAdvisories(t *testing.T) {
	t.Parallel()
	const sites = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			PHP
			file_server
		}
		http://127.0.0.1:{$PORT2} {
			root {$SITE}
			PHP {
				index off
			}
			file_server
		}
	`
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, strings.ReplaceAll(sites, "PHP {", "PHP {\nname other"))
		harness.WriteFile(t, s.Site+"/secret.php", "<?php $password = 'hunter2'; echo 'fine';")
		const evil = "<?php echo 'the upload ', 'was run';"
		for _, name := range []string{
			"evil.jpg", "evil.php.", "evil.php ", "evil.php\n", "evil.php::$DATA", "evil.phar", "EVIL.PHAR", "evil.phtml",
			"evil.php.bak", "evil.php~", "ȺȺȺȺevil.php.txt", "evil.ｐｈｐ", "evil.𝗽𝗵𝗽", "evil.pHṖ", "evil.jpg\r\n",
		} {
			harness.WriteFile(t, filepath.Join(s.Site, "uploads", name), evil)
		}
		harness.WriteFile(t, s.Dir+"/outside.php", evil)
		harness.WriteFile(t, s.Site+"/uploads/dir.php/x.php", evil)
		if err := unix.Mkfifo(s.Site+"/uploads/pipe.php", 0o666); err != nil {
			t.Fatal(err)
		}
		other := *s
		other.URL = fmt.Sprintf("http://127.0.0.1:%d", s.Port+1)
		for _, a := range advisories {
			method := "GET"
			if a.body != "" {
				method = "POST"
			}
			front := send(s, method, a.target, a.body, a.headers...)
			bare := send(&other, method, a.target, a.body, a.headers...)
			for _, res := range []*harness.Response{front, bare} {
				if strings.Contains(res.Text, "the upload was run") || strings.Contains(res.Text, injected) {
					t.Errorf("%s: %.200s executed the upload or the body: %.200q", a.id, a.target, res.Text)
				}
				if a.lacks != "" && strings.Contains(res.Text, a.lacks) {
					t.Errorf("%s: %.200s: %q is in the body: %.2000q", a.id, a.target, a.lacks, res.Text)
				}
				if res.StatusCode >= 500 {
					t.Errorf("%s: %.200s: got %d", a.id, a.target, res.StatusCode)
				}
			}
			if a.status != 0 && bare.StatusCode != a.status || !strings.Contains(bare.Text, a.has) {
				t.Errorf("%s: %.200s: got %d, want %d with %q: %.2000q", a.id, a.target, bare.StatusCode, a.status, a.has, bare.Text)
			}
		}
		if s.HasLogged("worker exited unexpectedly") {
			t.Error("a worker exited unexpectedly")
		}
	})
}

// send sends a request with an unmodified target, without a client library.
func send(s *harness.Server, method, target, body string, headers ...string) *harness.Response {
	s.T.Helper()
	conn := harness.Dial(s.T, s)
	defer conn.Close()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n", method, target)
	for _, h := range headers {
		head += h + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		s.T.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), harness.NewRequest(s.T, method, s.URL, nil))
	if err != nil {
		s.T.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.T.Fatalf("%s %s: %v", method, target, err)
	}
	return &harness.Response{Response: res, Text: string(text)}
}
