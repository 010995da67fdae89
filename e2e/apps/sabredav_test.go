//go:build linux

package apps

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// davSite has a server at /, which every path reaches by the front controller, and one
// whose paths are PATH_INFO of /server.php.
const davSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	PHP {
		capture_stderr
	}
}
`

// davScript follows SabreDAV's manual. The files are outside of the document root.
const davScript = `<?php
date_default_timezone_set('UTC');
require 'Sabre/autoload.php';

class OneUser extends Sabre\DAV\Auth\Backend\AbstractBasic {
	protected function validateUserPass($user, $password) {
		return $user === 'ada' && $password === 'a Secret: 1';
	}
}

$server = new Sabre\DAV\Server(new Sabre\DAV\FSExt\Directory('%[1]s/files'));
$server->setBaseUri('%[2]s');
$server->addPlugin(new Sabre\DAV\Auth\Plugin(new OneUser(), 'SabreDAV'));
$server->addPlugin(new Sabre\DAV\Locks\Plugin(new Sabre\DAV\Locks\Backend\File('%[1]s/locks')));
$server->addPlugin(new Sabre\DAV\Browser\Plugin());
$server->addPlugin(new Sabre\DAV\Browser\GuessContentType());
$server->addPlugin(new Sabre\DAV\PartialUpdate\Plugin());
$server->exec();
`

// davBases are the base addresses of the two servers.
var davBases = map[string]string{"front controller": "/", "PATH_INFO": "/server.php/"}

func startSabreDAV(t *testing.T, b harness.Backend) *harness.Server {
	t.Helper()
	dir := harness.UnpackApp(t, "php-sabre-dav")
	site := filepath.Join(dir, "site")
	harness.WriteFile(t, filepath.Join(site, "index.php"), fmt.Sprintf(davScript, dir, "/"))
	harness.WriteFile(t, filepath.Join(site, "server.php"), fmt.Sprintf(davScript, dir, "/server.php/"))
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.ChownToPHP(t, dir)
	return harness.Start(t, b, davSite, harness.Options{
		Site: site,
		// This SabreDAV is older than PHP's deprecations.
		INI: [][2]string{{"include_path", ".:" + filepath.Join(dir, "usr/share/php")}, {"error_reporting", "8191"}},
		// Without it, php_fastcgi responds with 411 to a body of unknown length.
		FastCGI: []string{"request_buffers 1MB"},
	})
}

// TestSabreDAV_Requests sends WebDAV requests to SabreDAV behind php_pool, and behind
// php_fastcgi with php-fpm.
func TestSabreDAV_Requests(t *testing.T) {
	t.Parallel()
	for name, base := range davBases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
				s := startSabreDAV(t, b)
				r := s.Record(
					harness.NewMask(`opaquelocktoken:[0-9a-fA-F-]+`, "TOKEN"),
					harness.NewMask(`<d:quota-(used|available)-bytes>\d+`, "<d:quota-$1-bytes>BYTES"),
				)
				useSabreDAV(dav{s, base})
				return r.RoundTrips()
			})
		})
	}
}

// dav is a client of one of the servers.
type dav struct {
	*harness.Server
	base string
}

// send sends a request with credentials, whose response must have a status.
func (d dav) send(status int, method, path string, body io.Reader, headers ...string) *harness.Response {
	d.T.Helper()
	req := d.Request(method, d.base+path, body, headers...)
	req.SetBasicAuth("ada", "a Secret: 1")
	res := d.Do(req)
	res.Want(d.T, status, "")
	return res
}

func (d dav) url(path string) string { return d.URL + d.base + path }

// withoutLength hides the length of a body, so that it is sent in chunks.
type withoutLength struct{ io.Reader }

const (
	davProperties = `<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:getcontentlength/><d:getcontenttype/><d:resourcetype/><d:lockdiscovery/></d:prop></d:propfind>`
	davLock       = `<?xml version="1.0"?><d:lockinfo xmlns:d="DAV:"><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype><d:owner>ada</d:owner></d:lockinfo>`
	davPatch      = `<?xml version="1.0"?><d:propertyupdate xmlns:d="DAV:" xmlns:x="urn:x"><d:set><d:prop><x:color>ünïcode &amp; blue</x:color></d:prop></d:set></d:propertyupdate>`
)

func useSabreDAV(d dav) {
	text := strings.NewReader
	d.Do(d.Request("GET", d.base, nil)).Want(d.T, 401, "")
	d.Do(d.Request("PUT", d.base+"refused.txt", text("not for everyone"))).Want(d.T, 401, "")
	d.send(200, "OPTIONS", "", nil)
	d.send(200, "GET", "", nil)

	d.send(201, "MKCOL", "a%20b", nil)
	d.send(405, "MKCOL", "a%20b", nil)
	d.send(409, "MKCOL", "missing/c", nil)
	d.send(415, "MKCOL", "d", text("a body"), "Content-Type: text/plain")
	d.send(201, "MKCOL", "a%20b/%C3%BC%23%3F%25", nil)

	content := string(harness.Pattern(300_000))
	etag := d.send(201, "PUT", "a%20b/chunked.bin", withoutLength{text(content)}, "Content-Type: application/octet-stream").Header.Get("Etag")
	d.send(200, "GET", "a%20b/chunked.bin", nil).Want(d.T, 200, content)
	d.send(200, "HEAD", "a%20b/chunked.bin", nil)
	d.send(201, "PUT", "empty", nil, "Content-Length: 0")
	d.send(201, "PUT", "chunked-empty", withoutLength{text("")})
	d.send(201, "PUT", "no-type.txt", text("a=b&c=d"))
	d.send(204, "PUT", "no-type.txt", text("a form?"), "Content-Type: application/x-www-form-urlencoded")
	d.send(204, "PUT", "no-type.txt", text("a page"), "Content-Type: multipart/form-data; boundary=x")
	d.send(204, "PUT", "no-type.txt", text("Zebrafish & ünïcode\n"), "Expect: 100-continue", "Content-Type: text/plain")
	d.send(200, "GET", "no-type.txt", nil)
	d.send(412, "PUT", "no-type.txt", text("x"), "If-None-Match: *")
	d.send(412, "PUT", "a%20b/chunked.bin", text("x"), `If-Match: "other"`)
	d.send(304, "GET", "a%20b/chunked.bin", nil, "If-None-Match: "+etag)
	d.send(501, "PUT", "no-type.txt", text("x"), "Content-Range: bytes 0-1/3")

	for _, ranges := range []string{"bytes=0-9", "bytes=299990-", "bytes=-5", "bytes=5-5", "bytes=0-1,5-9", "bytes=x", "lines=1-2"} {
		d.send(map[bool]int{true: 206, false: 200}[plainRange.MatchString(ranges)], "GET", "a%20b/chunked.bin", nil, "Range: "+ranges)
	}
	d.send(416, "GET", "a%20b/chunked.bin", nil, "Range: bytes=300000-")
	d.send(206, "GET", "a%20b/chunked.bin", nil, "Range: bytes=1-3", "If-Range: "+etag)
	d.send(200, "GET", "a%20b/chunked.bin", nil, "Range: bytes=1-3", `If-Range: "other"`)
	d.send(204, "PATCH", "a%20b/chunked.bin", text("patched"), "X-Update-Range: bytes=3-9", "Content-Type: application/x-sabredav-partialupdate")

	for _, depth := range []string{"0", "1", "infinity"} {
		d.send(207, "PROPFIND", "", text(davProperties), "Depth: "+depth, "Content-Type: application/xml")
	}
	d.send(207, "PROPFIND", "a%20b/", nil, "Depth: 1")
	d.send(207, "PROPFIND", "a%20b", withoutLength{text(davProperties)}, "Content-Type: text/xml; charset=utf-8")
	d.send(404, "PROPFIND", "missing", nil)
	d.send(207, "PROPPATCH", "no-type.txt", text(davPatch), "Content-Type: application/xml")
	d.send(207, "PROPFIND", "no-type.txt", text(`<d:propfind xmlns:d="DAV:" xmlns:x="urn:x"><d:prop><x:color/></d:prop></d:propfind>`), "Depth: 0")
	d.send(403, "REPORT", "", text(`<d:expand-property xmlns:d="DAV:"/>`), "Depth: 0")

	lock := d.send(200, "LOCK", "no-type.txt", text(davLock), "Timeout: Second-600", "Depth: 0").Header.Get("Lock-Token")
	d.send(423, "PUT", "no-type.txt", text("locked"))
	d.send(204, "PUT", "no-type.txt", text("unlocked"), "If: ("+lock+")")
	d.send(200, "LOCK", "no-type.txt", nil, "If: ("+lock+")", "Timeout: Infinite")
	d.send(409, "UNLOCK", "no-type.txt", nil, "Lock-Token: <opaquelocktoken:0-1>")
	d.send(204, "UNLOCK", "no-type.txt", nil, "Lock-Token: "+lock)
	d.send(201, "LOCK", "locked-new", text(davLock))

	d.send(201, "COPY", "no-type.txt", nil, "Destination: "+d.url("a%20b/%C3%BC%23%3F%25/copy.txt"))
	d.send(412, "COPY", "no-type.txt", nil, "Destination: "+d.url("a%20b/%C3%BC%23%3F%25/copy.txt"), "Overwrite: F")
	d.send(201, "MOVE", "a%20b", nil, "Destination: "+d.base+"moved")
	d.send(403, "MOVE", "moved", nil, "Destination: http://elsewhere.example/moved")
	d.send(207, "PROPFIND", "moved", text(davProperties), "Depth: infinity")
	d.send(200, "GET", "moved/%C3%BC%23%3F%25/copy.txt", nil)
	d.send(204, "DELETE", "moved", nil)
	d.send(404, "GET", "moved/chunked.bin", nil)
	d.send(404, "DELETE", "moved", nil)
	d.send(501, "BREW", "no-type.txt", nil)
	d.send(404, "GET", "missing?sabreAction=info&x[]=%20", nil)
	d.send(501, "POST", "no-type.txt", text("a=b"), "Content-Type: application/x-www-form-urlencoded")
}

var plainRange = regexp.MustCompile(`^bytes=(\d+-\d*|-\d+)$`)

// TestSabreDAV_Litmus runs litmus, the WebDAV test suite: each of its tests must have
// the result that it has behind php_fastcgi with php-fpm.
func TestSabreDAV_Litmus(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("litmus"); err != nil {
		t.Fatal("litmus is missing: run make deps-apps")
	}
	for name, base := range davBases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
				return litmus(t, startSabreDAV(t, b).URL+base)
			})
		})
	}
}

// litmus returns the result of each test.
func litmus(t *testing.T, url string) (results []harness.RoundTrip) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "litmus", "-k", url, "ada", "a Secret: 1")
	cmd.Dir = t.TempDir() // for its logs
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	suites := litmusSuite.FindAllStringSubmatch(string(out), -1)
	if got := len(suites); got != 5 {
		t.Fatalf("litmus ran %d suites, want 5:\n%s", got, out)
	}
	passed, suite := 0, ""
	for line := range strings.Lines(string(out)) {
		if m := litmusSuite.FindStringSubmatch(line); m != nil {
			suite = m[1]
		}
		m := litmusResult.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		results = append(results, harness.RoundTrip{Request: suite + " " + m[1], Response: strings.ReplaceAll(m[2], url, "URL/")})
		if strings.HasPrefix(m[2], "pass") {
			passed++
		}
	}
	if passed < 60 {
		t.Fatalf("%d tests of litmus passed, want most of them:\n%s", passed, out)
	}
	t.Logf("%d tests, %d passed", len(results), passed)
	return results
}

var (
	litmusSuite  = regexp.MustCompile("running `(\\w+)'")
	litmusResult = regexp.MustCompile(`(\d+\. \w+)\.* ((?:pass|FAIL|WARNING|SKIPPED|XFAIL).*)`)
)
