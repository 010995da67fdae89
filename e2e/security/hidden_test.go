//go:build linux

package security

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestHideSensitive has sensitive files in a site, beside others, and in a second site with
// hide_sensitive off.
func TestHideSensitive(t *testing.T) {
	t.Parallel()
	const sites = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			PHP /app/* {
				name main
			}
			file_server
			handle_errors {
				respond "own page {err.status_code}" {err.status_code}
			}
		}
		http://127.0.0.1:{$PORT2} {
			root {$SITE}
			PHP {
				name main
				hide_sensitive off
			}
			file_server
		}
	`
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, strings.Replace(sites, "name main\n\t\t\t\thide", "hide", 1))
		other := *s
		other.URL = fmt.Sprintf("http://127.0.0.1:%d", s.Port+1)
		harness.WriteFile(t, s.Site+"/app/index.php", "<?php echo 'front';")
		for _, name := range []string{
			".env", ".git/config", ".user.ini", "index.php.bak", "index.php~", "config.inc", "phpinfo.phtml", "tool.phar",
			"composer.lock", "composer.json", "dump.sql",
			"views.module", "dump.sql.gz", "site.sqlite", "auth.json", "wp-config.php.html", "web.config",
		} {
			harness.WriteFile(t, s.Site+"/app/"+name, "a secret")
			harness.WriteFile(t, s.Site+"/elsewhere/"+name, "a secret")
			s.Get("/app/"+name).Want(t, 404, "own page 404")
			// Only files that the directive's matcher selects are hidden.
			s.Get("/elsewhere/"+name).Want(t, 200, "a secret")
			other.Get("/app/"+name).Want(t, 200, "a secret")
		}
		harness.WriteFile(t, s.Site+"/app/sub/index.html", "a page")
		s.Get("/app/sub/index.html").Want(t, 200, "a page")
		harness.WriteFile(t, s.Site+"/.well-known/security.txt", "write to us")
		other.Get("/.well-known/security.txt").Want(t, 200, "write to us")
		// A missing file is still served by the front controller.
		harness.WriteFile(t, s.Site+"/index.php", "<?php echo 'front';")
		other.Get("/virtual/.gitignore").Want(t, 200, "front")
	})
}
