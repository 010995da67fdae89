//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// routingSite has the same scripts below three hosts: with the defaults, with another
// root for PHP, and without routing.
const routingSite = `
http://plain.test:{$PORT} {
	root {$SITE}/site
	PHP {
		index index.php
	}
	file_server
}
http://root.test:{$PORT} {
	root {$SITE}/site
	PHP {
		root {$SITE}/php
	}
	file_server
}
http://off.test:{$PORT} {
	root {$SITE}/site
	PHP {
		index off
	}
	file_server
}
`

// routed are the files of routingSite: scripts show what was run.
var routed = []string{
	"site/index.php", "site/env.php", "site/static.txt", "site/dir/index.php", "site/dir/page.txt", "site/leak.php",
	"site/big.php", "site/big.php.d/env.php", "site/class.phpmailer.php",
	"site/dir.php/index.php", "site/dir.php/other.php", "site/dir.php/style.css", "site/empty.php/note.txt",
	"php/index.php", "php/env.php", "php/own.php", "php/sub/index.php", "php/secret.txt", "php/dir/index.php",
}

// deliberate are the responses that differ from php_fastcgi, and why.
var deliberate = map[string]string{
	// A directory may have the name of a script.
	"plain.test/dir.php/":               "200 /dir.php/index.php",
	"plain.test/dir.php/index.php":      "200 /dir.php/index.php",
	"plain.test/dir.php/other.php":      "200 /dir.php/other.php",
	"plain.test/dir.php/other.php/info": "200 /dir.php/other.php /info",
	"plain.test/dir.php/style.css":      "200 site/dir.php/style.css",
	"plain.test/empty.php/note.txt":     "200 site/empty.php/note.txt",
	"root.test/dir.php/style.css":       "200 site/dir.php/style.css",
	"root.test/empty.php/note.txt":      "200 site/empty.php/note.txt",
	"off.test/dir.php/index.php":        "200 /dir.php/index.php",
	"off.test/dir.php/other.php":        "200 /dir.php/other.php",
	// The file that try_files has found, or that the path names, runs.
	"plain.test/big.php.d/env.php":   "200 /big.php.d/env.php",
	"plain.test/class.phpmailer.php": "200 /class.phpmailer.php",
	"off.test/big.php.d/env.php":     "200 /big.php.d/env.php",
	"off.test/big.php.d/missing.php": "404",
	"off.test/class.phpmailer.php":   "200 /class.phpmailer.php",
	// A file without an allowed extension cannot be a script.
	"off.test/static.txt/x.php": "404",
	// PHP's files are those in its root, where php_fastcgi looks in the site's root.
	"root.test/own.php":             "200 /own.php",
	"root.test/sub":                 "308 ./sub/",
	"root.test/sub/":                "200 /sub/index.php",
	"root.test/leak.php":            "200 /index.php",
	"root.test/big.php":             "200 /index.php",
	"root.test/big.php/d/env.php":   "200 /index.php",
	"root.test/big.php.d/env.php":   "200 /index.php",
	"root.test/class.phpmailer.php": "200 /index.php",
	"root.test/dir.php":             "200 /index.php",
}

// TestRouting_ScriptNames asks php_fastcgi with php-fpm and each transport which file serves a
// path.
func TestRouting_ScriptNames(t *testing.T) {
	t.Parallel()
	site := harness.TempDir(t)
	for _, name := range routed {
		content := name
		if strings.HasSuffix(name, ".php") {
			content = `<?php echo rtrim($_SERVER['SCRIPT_NAME'] . ' ' . ($_SERVER['PATH_INFO'] ?? ''));`
		}
		harness.WriteFile(t, filepath.Join(site, name), content)
	}
	harness.ChownToPHP(t, site)
	query := func(s *harness.Server, host, path string) string {
		res := s.Do(s.Request("GET", path, nil, fmt.Sprintf("Host: %s:%d", host, s.Port)))
		switch res.StatusCode {
		case http.StatusOK:
			return "200 " + res.Text
		case http.StatusPermanentRedirect:
			return "308 " + res.Header.Get("Location")
		}
		return fmt.Sprint(res.StatusCode)
	}
	old := harness.Start(t, harness.FPM, routingSite, harness.Options{Site: site})
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, routingSite, harness.Options{Site: site})
		different := 0
		for _, host := range []string{"plain.test", "root.test", "off.test"} {
			for _, path := range []string{
				"/", "/index.php", "/env.php", "/env.php/info", "/env%2ephp", "/static.txt", "/static.txt/x.php", "/missing", "/missing.php", "/missing/",
				"/dir", "/dir/", "/dir?a=b", "/dir/page.txt", "/dir/missing.php", "/leak.php", "/big.php", "/big.php/d/env.php",
				"/big.php.d/env.php", "/big.php.d/missing.php", "/class.phpmailer.php", "/dir.php", "/dir.php/", "/dir.php/index.php",
				"/dir.php/other.php", "/dir.php/other.php/info", "/dir.php/style.css", "/empty.php", "/empty.php/", "/empty.php/note.txt",
				"/own.php", "/sub", "/sub/", "/secret.txt", "//env.php", "/dir/../env.php", "/ENV.PHP",
			} {
				got, want := query(s, host, path), query(old, host, path)
				if other, ok := deliberate[host+path]; ok {
					if other == want {
						t.Errorf("%s%s: php_fastcgi responds %q too", host, path, want)
					}
					different++
					want = other
				}
				if got != want {
					t.Errorf("%s%s: got %q, want %q", host, path, got, want)
				}
			}
		}
		if different != len(deliberate) {
			t.Errorf("%d of %d deliberate differences were checked", different, len(deliberate))
		}
	})
}
