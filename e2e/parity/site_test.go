//go:build linux

package parity

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// seeScript is a script that prints what it sees.
const seeScript = "<?php require LIB . '/see.php';\n"

// scripts are the scripts of the site that print what they see. A path that ends in /
// is an empty directory.
var scripts = []string{
	"index.php", "see.php", "front.php", "sub/index.php", "sub/see.php", "sub/front.php", "a b.php", "ü.php", "UPPER.PHP",
	"plus+.php", "per%cent.php", "per%2e.php", "semi;colon.php", "col:on.php", "q?mark.php", "#hash.php", "back\\slash.php", "amp&.php", "star*.php",
	"[list].php", "tilde~.php", "dot.php.", "two.php.php", ".hidden.php", ".dir/see.php", "deep/er/and/deeper/see.php", "sub/deep/index.php",
	"dir.php/index.php", "noindex.php/", "big.php", "big.php.d/see.php", "info.php/see.php/index.php", "old.php5", "other.phtml", "code.inc", "see.php.bak", "see.phps", "phar.phar",
	"a/index.php/see.php", "b/index.php/index.php", "x.php.txt", "img.jpg.php", "long/" + strings.Repeat("n", 200) + ".php",
	"app/index.php", "app/see.php", "vendor/see.php", "wp-content/uploads/see.php", "uploads/see.php", "trailing .php", "sp ace/index.php", "ünï/index.php",
	"other/see.php", "other/index.php", "other/only.php", "release1/see.php", "release1/index.php", "errors/404.php", "error.php",
	"empty/", "files/",
}

// statics are the files of the site that are not scripts.
var statics = map[string]string{
	"static.txt": "static\n", "sub/static.txt": "sub static\n", "other/static.txt": "other static\n", "page.html": "<p>page {{1}}</p>\n",
	"files/index.html": "<p>files</p>\n", "files/a.css": "a { }\n", "img.jpg": "<?php echo 'an image was run';", "noext": "no extension\n",
	".env": "SECRET=1\n", ".htaccess": "deny\n", ".well-known/acme": "well known\n", ".git/config": "git\n", "composer.json": "{}\n", "dump.sql": "sql\n", "notes.md": "notes\n",
	"sub/index.html": "<p>sub</p>\n", "private/secret.txt": "a private file\n", "ü.txt": "umlaut\n", "sp ace.txt": "space\n", "phpinfo.txt": "<?php\n", "a.php~": "backup\n",
	"static.php.txt": "text\n", "php": "no dot\n", "big.bin": strings.Repeat("0123456789abcdef", 20_000),
}

// links are symbolic links of the site.
var links = map[string]string{
	"link.php": "see.php", "linkdir": "sub", "outside.php": "../lib/outside.php", "dangling.php": "nothing.php", "loop.php": "loop.php",
	"image.php": "img.jpg", "text.txt": "see.php", "current": "release1", "linkindex/index.php": "../see.php",
}

// makeSite creates the site, and scripts with this code in its directory code.
func makeSite(t *testing.T, site string, code map[string]string) {
	t.Helper()
	lib := filepath.Join(filepath.Dir(site), "lib")
	harness.CopyTree(t, lib, "testdata/lib")
	see := strings.ReplaceAll(seeScript, "LIB", fmt.Sprintf("%q", lib))
	harness.WriteFile(t, filepath.Join(lib, "outside.php"), see)
	for _, path := range scripts {
		if strings.HasSuffix(path, "/") {
			if err := os.MkdirAll(filepath.Join(site, path), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		harness.WriteFile(t, filepath.Join(site, path), see)
	}
	for path, content := range statics {
		harness.WriteFile(t, filepath.Join(site, path), content)
	}
	for name, php := range code {
		harness.WriteFile(t, filepath.Join(site, "code", name), "<?php "+php)
	}
	for _, path := range slices.Sorted(maps.Keys(links)) {
		name := filepath.Join(site, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.Symlink(t, links[path], name)
	}
	if err := os.Mkdir(filepath.Join(site, "writable"), 0o777); err != nil {
		t.Fatal(err)
	}
	harness.ChownToPHP(t, site)
	for _, path := range []string{"unreadable.php", "shut/see.php"} {
		harness.WriteFile(t, filepath.Join(site, path), see)
	}
	harness.HideFromPHP(t, filepath.Join(site, "unreadable.php"))
	if err := os.Chmod(filepath.Join(site, "shut"), 0o700); err != nil {
		t.Fatal(err)
	}
}
