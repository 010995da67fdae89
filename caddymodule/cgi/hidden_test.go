package cgi

import "testing"

func TestHidden_Paths(t *testing.T) {
	s := splitter{".php", ".cgi"}
	for path, want := range map[string]bool{
		// Names that begin with a dot, except .well-known (RFC 8615).
		"/.env": true, "/.git/config": true, "/sub/.htpasswd": true, "/.user.ini": true, "/.": true,
		"/.well-known/security.txt": false, "/.well-known/acme-challenge/x": false, "/.well-known": false,
		"/.well-known/.env": true, "/sub/.well-known/x": true, "/.well-knownx": true, "/.WELL-KNOWN/x": true,
		`/sub\.env`: true, `\.env`: true,
		// PHP under another name.
		"/index.php.bak": true, "/index.php~": true, "/index.php.": true, "/index.php. .": true, "/index.php ": true,
		"/index.php::$DATA": true, "/index.php/": true, "/index.phps": true, "/index.php5": true, "/INDEX.PHP.OLD": true,
		"/index.php_2024": true, "/index.php.txt": true, "/index.php.zip": true, "/x.cgi.1": true,
		"/a.phtml": true, "/a.PHAR": true, "/a.pht": true, "/config.inc": true, "/config.inc/": true, "/php.ini": true,
		// Backups and database dumps.
		"/wp-config.bak": true, "/notes.txt~": true, "/#notes#": true, "/dump.sql": true, "/a.swp": true, "/a.Orig": true,
		// The Kelvin sign folds to k, so a file system may treat it as k.
		"/wp-config.ba\u212a": true,
		"/composer.json":      true, "/composer.lock": true, "/vendor/x/Composer.Lock": true, "/package.json": false,
		// PHP source and templates of Drupal, CakePHP and others.
		"/modules/views/views.module": true, "/x.engine": true, "/x.install": true, "/x.profile": true, "/x.theme": true, "/x.ctp": true,
		"/user.class": true, "/page.tpl": true, "/page.twig": true, "/x.xtmpl": true, "/modules/views/views.js": false,
		// Dumps that are compressed, and other databases.
		"/dump.sql.gz": true, "/dump.SQL.bz2": true, "/dump.sql.7z": true, "/x.mysql": true, "/x.pgsql": true, "/x.dump": true,
		"/site.sqlite": true, "/site.sqlite3": true, "/site.db": true, "/guide.sql.html": false, "/sql.zip": false,
		// Settings, also where they end like a page.
		"/php.ini.dist": true, "/web.config": true, "/app/config/parameters.yml": true, "/parameters.yml.dist": true, "/openapi.yml": false,
		"/wp-config.php.css": true, "/config.php.html": true, "/LocalSettings.php.txt": true, "/app.settings.php.png": true,
		"/config.html": false, "/config.js": false, "/settings.css": false,
		"/auth.json": true, "/app/AUTH.json": true, "/locales/en/auth.json": false, "/lang/auth.json": false, "/symfony.lock": true,
		// Pages and their assets.
		"/": false, "/style.css": false, "/sub/": false, "/sub/page.html": false, "/a.b/c": false, "/photo.php.jpg": false,
		"/style.php.css": false, "/index.php.html": false, "/php/manual.pdf": false, "/about-php": false, "/old/x.js": false,
		"/a~b": false, "/#": true, "/feed.xml": false, "/data.json": false, "/x.zip": false, "/include": false, "/a.b.old.js": false,
		"/dir.php/style.css": false, "/ｐhp": false,
	} {
		if got := s.isSensitive(path); got != want {
			t.Errorf("%s: hidden: got %t, want %t", path, got, want)
		}
	}
}

func BenchmarkHidden(b *testing.B) {
	s := splitter{".php"}
	b.ReportAllocs()
	for b.Loop() {
		if s.isSensitive("/wp-content/themes/twentytwenty/assets/js/index.min.js") {
			b.Fatal("hidden")
		}
	}
}
