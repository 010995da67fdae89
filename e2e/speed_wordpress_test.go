//go:build linux && bench

package e2e

import "testing"

// speedWordPress installs WordPress and makes it the directory wp of a site,
// whatever port that is served at.
func speedWordPress(t *testing.T, wp string) {
	t.Helper()
	site := UnpackWordPress(t, StartMariaDB(t, "speed"), "speed", `
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . (str_starts_with($_SERVER['REQUEST_URI'], '/wp/') ? '/wp' : ''));
define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true);
`)
	t.Run("installing WordPress", func(t *testing.T) {
		s := Start(t, SharedLean, PlainSite, Options{Site: site})
		w := &WordPress{Server: s, Admin: s.Browser(), Reader: s.Browser()}
		w.Install()
		w.Post("A post to read", "")
	})
	Symlink(t, site, wp)
}
