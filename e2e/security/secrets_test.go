//go:build linux

package security

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestEnvironment_NotInherited searches PHP for Caddy's environment, and for that of process_env,
// which has to be found.
func TestEnvironment_NotInherited(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s, list := twoCustomers(t, b, harness.Options{Env: []string{"http_proxy=never-for-php", "LD_LIBRARY_PATH=/never-for-php", "PHP_INI_SCAN_DIR=/never-for-php", "PHPRC=/never-for-php"}})
		if err := s.Run(twoSites(b, "process_env GIVEN given-to-CUSTOMER", "ini variables_order EGPCS")); err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			var places map[string]string
			c.query("leak.php", nil, &places)
			if len(places) != 6 {
				t.Fatalf("got %d places", len(places))
			}
			for place, text := range places {
				for _, secret := range []string{"never-for-php", "CADDY_SECRET", "XDG_DATA_HOME"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s shows %s", place, secret)
					}
				}
				if !strings.Contains(text, "given-to-"+c.name) {
					t.Errorf("%s does not show what process_env gives: %.2000s", place, text)
				}
			}
			allowed := []string{"GIVEN", "HOME", "LANG", "PATH", "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "TMPDIR", "TZ", "USER"}
			for pair := range strings.SplitSeq(strings.TrimRight(places["/proc/self/environ"], "\x00"), "\x00") {
				if name, _, _ := strings.Cut(pair, "="); !slices.Contains(allowed, name) {
					t.Errorf("its environment has %s", pair)
				}
			}
		}
	})
}

// hostileHeaders would each set a variable that clients must not set, if the name were
// used unchanged, or with dashes and underscores exchanged.
var hostileHeaders = []string{
	"Content_Length: 7", "Content_Type: evil/evil", "CONTENT_LENGTH: 7",
	"Script_Filename: /etc/passwd", "SCRIPT-FILENAME: /etc/passwd", "Script-Name: /evil", "Path-Translated: /etc/passwd", "PATH_TRANSLATED: /etc/passwd", "Path_Info: /evil",
	"Document-Root: /", "DOCUMENT_ROOT: /", "Redirect-Status: 666", "REDIRECT_URL: /evil", "Redirect-Url: /evil", "Redirect_Handler: evil", "Orig-Script-Filename: /etc/passwd",
	"PHP_VALUE: auto_prepend_file=/etc/passwd", "PHP-Value: auto_prepend_file=/etc/passwd", "PHP-Admin-Value: open_basedir=", "PHP_ADMIN_VALUE: open_basedir=",
	"HTTPS: on", "Https: on", "Remote-User: root", "REMOTE_USER: root", "Remote-Addr: 203.0.113.9", "Remote_Addr: 203.0.113.9", "Auth-Type: Basic",
	"Proxy: http://evil.test", "HTTP-PROXY: http://evil.test", "Http_Proxy: http://evil.test", "HTTP_PROXY: http://evil.test",
	"Server-Name: evil.test", "Server-Port: 666", "Request-Method: EVIL", "Request-Uri: /evil", "Query-String: evil", "Gateway-Interface: evil", "Fcgi-Role: AUTHORIZER", "PHP-Self: /evil",
	"HTTP_HOST: evil.test", "X_Forwarded_For: 203.0.113.9", "X.Forwarded.For: 203.0.113.9", "Http-Host: evil.test",
}

// raw sends a request unmodified on a new connection, and returns the variables that
// the script shows, and the status.
func raw(s *harness.Server, request string) (vars map[string]string, status int) {
	s.T.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.T.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(harness.MaxWait)); err != nil {
		s.T.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		s.T.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.T.Fatalf("%q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		var all map[string]any
		if err := json.Unmarshal(body, &all); err != nil {
			s.T.Fatalf("%q: %v in %.300q", request, err, body)
		}
		vars = map[string]string{}
		for name, value := range all {
			vars[name] = fmt.Sprint(value)
		}
	}
	return vars, res.StatusCode
}

// varsScript shows the variables in $_SERVER and in getenv(), which may differ.
const varsScript = `<?php
	$all = $_SERVER;
	foreach (getenv() as $name => $value) { $all["getenv $name"] = $value; }
	$all['auto_prepend_file'] = ini_get('auto_prepend_file');
	$all['HTTP_PROXY asked for'] = var_export(getenv('HTTP_PROXY'), true);
	unset($all['REQUEST_TIME'], $all['REQUEST_TIME_FLOAT'], $all['REMOTE_PORT'], $all['getenv REMOTE_PORT']);
	$all['body'] = file_get_contents('php://input');
	echo json_encode($all);`

// TestEnvironment_ClientHeaders writes requests byte by byte, because no
// client would send them.
func TestEnvironment_ClientHeaders(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		head := wantNothingBut(s, "HTTP_SCRIPT_FILENAME", "HTTP_REMOTE_USER", "HTTP_HTTPS")
		// Invalid names and conflicting lengths are rejected.
		for _, bad := range []string{"Script Filename: /etc/passwd", "X\x00Y: z", "Content-Length: 5", "Transfer-Encoding: gzip"} {
			if vars, status := raw(s, head+bad+"\r\n\r\nbody"); status < 400 {
				t.Errorf("%q: got status %d, %v", bad, status, vars)
			}
		}
		get := func(target string) (map[string]string, int) {
			return raw(s, "GET "+target+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\nConnection: close\r\n\r\n")
		}
		if _, status := get("/vars.php%00.jpg"); status < 400 {
			t.Errorf("a NUL in the path: got status %d", status)
		}
		if vars, status := get("/vars.php?CONTENT_LENGTH=9&HTTPS=on&PHP_VALUE=x%00"); status != 200 || vars["CONTENT_LENGTH"] != "0" || vars["HTTPS"] != "" || vars["PHP_VALUE"] != "" {
			t.Errorf("a query: got status %d, %v", status, vars)
		}
	})
}

// TestEnvironment_UnderscoreHeaders makes Caddy keep headers with "_" and ".", which it
// drops by default since 2.11.9.
func TestEnvironment_UnderscoreHeaders(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, harness.Options{Global: `servers {
			expected_underscore_headers x_forwarded_for remote_user script_filename content_length http_host http_proxy
			expected_dot_headers x.forwarded.for
		}`})
		wantNothingBut(s, "HTTP_HTTPS")
	})
}

// wantNothingBut sends the hostile headers, and checks that they only set HTTP_
// variables, among them these. It returns the start of the request, to which headers
// can be added.
func wantNothingBut(s *harness.Server, harmless ...string) (head string) {
	t := s.T
	t.Helper()
	harness.WriteFile(t, s.Site+"/vars.php", varsScript)
	host := strings.TrimPrefix(s.URL, "http://")
	head = "POST /vars.php?q=1 HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
	clean, _ := raw(s, head+"\r\nbody")
	if clean["CONTENT_LENGTH"] != "4" || clean["body"] != "body" || clean["HTTP_HOST"] != host || clean["HTTP_PROXY asked for"] != "false" {
		t.Fatalf("a clean request: got %v", clean)
	}
	got, status := raw(s, head+strings.Join(hostileHeaders, "\r\n")+"\r\n\r\nbody")
	if status != 200 {
		t.Fatalf("got status %d", status)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		plain := strings.TrimPrefix(name, "getenv ")
		if want, ok := clean[name]; ok {
			if got[name] != want {
				t.Errorf("%s was changed to %q, want %q", name, got[name], want)
			}
		} else if !strings.HasPrefix(plain, "HTTP_") || plain == "HTTP_PROXY" {
			t.Errorf("%s comes from the client: %q", name, got[name])
		}
	}
	for name := range clean {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range harmless {
		if got[name] == "" {
			t.Errorf("%s is missing: the headers did not reach PHP", name)
		}
	}
	return head
}
