//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestSourceAndDotFilesAreHidden has them in a site, beside what is to be seen,
// and another site that shows them.
func TestSourceAndDotFilesAreHidden(t *testing.T) {
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
	each(t, bothWays, func(t *testing.T, b backend) {
		s := start(t, b, strings.Replace(sites, "name main\n\t\t\t\thide", "hide", 1))
		other := *s
		other.url = fmt.Sprintf("http://127.0.0.1:%d", s.port+1)
		writeFile(t, s.site+"/app/index.php", "<?php echo 'front';")
		for _, name := range []string{
			".env", ".git/config", ".user.ini", "index.php.bak", "index.php~", "config.inc", "phpinfo.phtml", "tool.phar",
			"composer.lock", "composer.json", "dump.sql",
		} {
			writeFile(t, s.site+"/app/"+name, "a secret")
			writeFile(t, s.site+"/elsewhere/"+name, "a secret")
			s.get("/app/"+name).want(t, 404, "own page 404")
			// The directive's matcher is the border of what it hides.
			s.get("/elsewhere/"+name).want(t, 200, "a secret")
			other.get("/app/"+name).want(t, 200, "a secret")
		}
		writeFile(t, s.site+"/app/sub/index.html", "a page")
		s.get("/app/sub/index.html").want(t, 200, "a page")
		writeFile(t, s.site+"/.well-known/security.txt", "write to us")
		other.get("/.well-known/security.txt").want(t, 200, "write to us")
		// What is not there is the front controller's as ever.
		writeFile(t, s.site+"/index.php", "<?php echo 'front';")
		other.get("/virtual/.gitignore").want(t, 200, "front")
	})
}
