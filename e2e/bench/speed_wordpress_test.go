//go:build linux && bench

package bench

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// speedWordPress installs WordPress as the directory wp of a site, for any port.
func speedWordPress(t *testing.T, wp string) {
	t.Helper()
	site := harness.UnpackWordPress(t, harness.StartMariaDB(t, "speed"), "speed", `
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . (str_starts_with($_SERVER['REQUEST_URI'], '/wp/') ? '/wp' : ''));
define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true);
`)
	t.Run("installing WordPress", func(t *testing.T) {
		s := harness.Start(t, harness.SharedLean, harness.PlainSite, harness.Options{Site: site})
		w := &harness.WordPress{Server: s, Admin: s.Browser(), Reader: s.Browser()}
		w.Install()
		w.Post("A post to read", "")
	})
	harness.Symlink(t, site, wp)
}
