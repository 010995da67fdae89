//go:build linux && bench

package e2e

import "testing"

// speedWordPress installs WordPress and makes it the directory wp of a site,
// whatever port that is served at.
func speedWordPress(t *testing.T, wp string) {
	t.Helper()
	site := unpackWordPress(t, startMariaDB(t, "speed"), "speed", `
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . (str_starts_with($_SERVER['REQUEST_URI'], '/wp/') ? '/wp' : ''));
define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true);
`)
	t.Run("installing WordPress", func(t *testing.T) {
		s := start(t, sharedLean, plainSite, options{site: site})
		w := &wordPress{s: s, admin: s.browser(), reader: s.browser()}
		w.install()
		w.post("A post to read", "")
	})
	link(t, site, wp)
}
