package doctor

import (
	"path/filepath"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// debianPHP returns a check of a php-cgi with its ini files where Debian has them.
func debianPHP(t *testing.T, cgi, fpm string) (c *check, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "8.2")
	write(t, dir, "cgi/conf.d/10-opcache.ini", "")
	write(t, dir, "cgi/conf.d/20-only.ini", "")
	write(t, dir, "fpm/conf.d/10-opcache.ini", "")
	ini := write(t, dir, "cgi/php.ini", cgi)
	write(t, dir, "fpm/php.ini", fpm)
	return &check{binary: &phpbin.Binary{INIFile: ini, INIPath: filepath.Join(dir, "cgi")}}, dir
}

func TestDebian_SettingsOfFPM(t *testing.T) {
	c, dir := debianPHP(t,
		"[PHP]\nmemory_limit = 128M\nengine = On\nonly_cgi = 1\n; upload = 9\n[PATH=/srv]\nsecret = 1\n",
		"[PHP]\nmemory_limit = \"256M\" ; more\nengine=On\nupload = 10M\n")
	write(t, dir, "fpm/conf.d/30-redis.ini", "")
	write(t, dir, "fpm/conf.d/25-apcu.ini", "")
	write(t, dir, "fpm/pool.d/www.conf", "[www]\n;php_value[a] = b\nphp_admin_value[open_basedir] = /srv\nphp_flag[display_errors] = off\npm = static\n")
	c.debian()
	ini := filepath.Join(dir, "fpm/php.ini")
	wantFinding(t, c.findings, Note,
		"php-fpm's php.ini differs: memory_limit = 256M (php-cgi: 128M), upload = 10M (not set for php-cgi), only_cgi not set (php-cgi: 1)",
		"write `ini_file "+ini+"` and `ini_scan_dir "+filepath.Join(dir, "fpm/conf.d")+"`")
	wantFinding(t, c.findings, Note, "extensions enabled for php-fpm but not for php-cgi: apcu, redis", "phpenmod -v 8.2 -s cgi apcu redis")
	wantFinding(t, c.findings, Note, "fpm/pool.d/www.conf has PHP settings", "`admin_ini open_basedir /srv`, `ini display_errors off`")
	if len(c.findings) != 3 {
		t.Errorf("got:\n%s", format(c.findings))
	}
}

func TestDebian_NoDifference(t *testing.T) {
	c, _ := debianPHP(t, "a = 1\n; b = 2\n", "; c = 3\na=1\n")
	c.debian()
	// A pool that uses php-fpm's settings already.
	with, dir := debianPHP(t, "a = 1\n", "a = 2\n")
	write(t, dir, "fpm/conf.d/30-redis.ini", "")
	with.binary.INIFile = filepath.Join(dir, "fpm/php.ini")
	with.debian()
	// Another distribution.
	other := &check{binary: &phpbin.Binary{INIFile: "/etc/php.ini", INIPath: "/etc"}}
	other.debian()
	for _, c := range []*check{c, with, other} {
		if len(c.findings) > 0 {
			t.Errorf("got:\n%s", format(c.findings))
		}
	}
}
