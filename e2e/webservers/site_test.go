//go:build linux

package webservers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// seeing are the scripts of the site that print what they see.
var seeing = []string{
	"see.php", "index.php", "sub/index.php", "sub/see.php", "a b.php", "ü.php", "per%cent.php", "plus+.php", "dir.php/see.php",
	"old.phtml", "archive.phar", "x.txt", "see.php.bak", "two.php.php", ".hidden.php",
}

// makeSite creates the site, and scripts with this code in its directory code.
func makeSite(t *testing.T, site string, code map[string]string) {
	t.Helper()
	lib := filepath.Join(filepath.Dir(site), "lib")
	harness.CopyTree(t, lib, "../parity/testdata/lib")
	see := fmt.Sprintf("<?php require %q;\n", lib+"/see.php")
	harness.WriteFile(t, filepath.Join(lib, "outside.php"), see)
	for _, path := range seeing {
		harness.WriteFile(t, filepath.Join(site, path), see)
	}
	for name, php := range code {
		harness.WriteFile(t, filepath.Join(site, "code", name), "<?php "+php)
	}
	writeStreams(t, site)
	for path, content := range map[string]string{
		"hello.php": "<?php echo 'hello';", "streams/log.php": "<?php error_log($_GET['marker']); echo 'logged';",
		"static.txt": "static\n", "error.php": "<?php echo 'own page ', $_SERVER['REDIRECT_STATUS'];",
		"big.bin": strings.Repeat("0123456789abcdef", 20_000),
	} {
		harness.WriteFile(t, filepath.Join(site, path), content)
	}
	if err := os.Mkdir(filepath.Join(site, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Symlink(t, "see.php", filepath.Join(site, "link.php"))
	harness.Symlink(t, "../lib/outside.php", filepath.Join(site, "outside.php"))
	harness.Symlink(t, "nothing.php", filepath.Join(site, "dangling.php"))
	harness.ChownToPHP(t, site)
	harness.WriteFile(t, filepath.Join(site, "unreadable.php"), see)
	harness.HideFromPHP(t, filepath.Join(site, "unreadable.php"))
}

// writeStreams adds streamScripts and the directory that they write to.
func writeStreams(t *testing.T, site string) {
	t.Helper()
	for name, php := range streamScripts {
		harness.WriteFile(t, filepath.Join(site, "streams", name), streamPrelude+php)
	}
	if err := os.Mkdir(filepath.Join(site, "writable"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// streamSite returns a document root with streamScripts.
func streamSite(t *testing.T) string {
	t.Helper()
	site := helloSite(t)
	writeStreams(t, site)
	harness.ChownToPHP(t, site)
	return site
}
