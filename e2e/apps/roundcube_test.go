//go:build linux

package apps

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// roundcubeSite serves the directory that is meant to be served, and at the second port
// the one above it, which relies on a .htaccess that Caddy does not read.
const roundcubeSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}/public_html
	PHP {
		capture_stderr
	}
	file_server
}
http://127.0.0.1:{$PORT2} {
	root {$SITE}
	@private path /bin/* /config/* /logs/* /temp/* /program/include/* /program/lib/*
	respond @private 403
	PHP {
		capture_stderr
	}
	file_server
}
`

// TestRoundcube opens the login page of Debian's Roundcube, with no mail server, behind
// php_pool, and behind php_fastcgi with php-fpm.
func TestRoundcube(t *testing.T) {
	t.Parallel()
	harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
		s := startRoundcube(t, b)
		wantPrivate(s)
		r := s.Record(roundcubeMasks...)
		useRoundcube(s)
		return r.RoundTrips()
	})
}

func startRoundcube(t *testing.T, b harness.Backend) *harness.Server {
	t.Helper()
	dir := harness.UnpackApp(t, "roundcube-core")
	site := filepath.Join(dir, "var/lib/roundcube")
	for _, file := range []string{"program/include/iniset.php", "installer/index.php"} {
		harness.MovePaths(t, dir, "usr/share/roundcube/"+file)
	}
	harness.WriteFile(t, filepath.Join(dir, "etc/roundcube/config.inc.php"), fmt.Sprintf(`<?php
$config['db_dsnw'] = 'sqlite:///%s/roundcube.sqlite?mode=0640';
$config['imap_host'] = '127.0.0.1:1';
$config['des_key'] = 'twenty-four bytes it has';
$config['plugins'] = ['jqueryui'];
`, dir))
	harness.WriteFile(t, filepath.Join(site, "logs/old.log.bak"), "a secret\n")
	harness.Symlink(t, "../../../usr/share/roundcube/installer", filepath.Join(site, "installer"))
	harness.Symlink(t, "../../../usr/share/roundcube/composer.json", filepath.Join(site, "composer.json"))
	harness.ChownToPHP(t, dir)
	return harness.Start(t, b, roundcubeSite, harness.Options{
		Site: site,
		INI:  [][2]string{{"include_path", ".:" + filepath.Join(dir, "usr/share/php") + ":/usr/share/php"}},
	})
}

// wantPrivate asks for files that a .htaccess protects, and that this Caddyfile leaves to
// hide_sensitive.
func wantPrivate(s *harness.Server) {
	t := s.T
	for _, path := range []string{"/logs/old.log.bak", "/config/defaults.inc.php", "/temp/", "/bin/gc.sh", "/program/include/iniset.php"} {
		getSecond(s, path).Want(t, 403, "")
	}
	for _, path := range []string{"/.htaccess", "/composer.json", "/SQL/sqlite.initial.sql", "/public_html/.htaccess"} {
		want := map[bool]int{true: 200, false: 404}[s.Backend.FPM]
		getSecond(s, path).Want(t, want, "")
	}
}

// getSecond requests a path of the site at the second port.
func getSecond(s *harness.Server, path string) *harness.Response {
	s.T.Helper()
	return harness.Do(s.T, s.Client, harness.NewRequest(s.T, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", s.Port+1, path), nil))
}

var roundcubeMasks = []harness.Mask{
	harness.NewMask(`(Set-Cookie: (?:roundcube_sess(?:id|auth)|PHPSESSID))=[^;]+`, "$1=SECRET"),
	harness.NewMask(`("request_token":"|name="_token" value=")\w+`, "${1}TOKEN"),
}

var roundcubeAsset = regexp.MustCompile(`(?:src|href)="([^"#?:]+\.[a-z]+(?:\?[^"]*)?)"`)

func useRoundcube(s *harness.Server) {
	t := s.T
	b := s.Browser()
	page := b.Open("/").MustContain("Roundcube Webmail")
	assets := roundcubeAsset.FindAllStringSubmatch(page.Text, -1)
	if len(assets) < 8 {
		t.Errorf("the login page has %d assets: %v", len(assets), assets)
	}
	for _, asset := range assets {
		b.Open("/" + strings.TrimPrefix(asset[1], "/"))
	}
	login := page.Form("_user").Set("_user", "ada", "_pass", "a Secret & 1")
	harness.Do(t, b.Client, login.Request()).WantContains(t, 401, "Connection to storage server failed")
	login.Set("_token", "forged")
	harness.Do(t, b.Client, login.Request()).Want(t, 401, "")
	b.Open("/?_task=mail&_mbox=INBOX").MustContain("_user") // needs a login
	b.Open("/no/such/page?_task=logout")
	s.Get("/?_task=mail&_action=refresh&_remote=1", "X-Requested-With: XMLHttpRequest", "X-Roundcube-Request: forged")
	s.Get("/?_task=utils&_action=text2html")
	s.Get("/skins/elastic/no-such.css")

	getSecond(s, "/").WantContains(t, 200, "Roundcube Webmail")
	getSecond(s, "/installer").Want(t, 308, "")
	getSecond(s, "/installer/").Want(t, 302, "")
	getSecond(s, "/installer/?_step=1").WantContains(t, 200, "installer is disabled")
	getSecond(s, "/installer/check.php")
	getSecond(s, "/installer/client.js").Want(t, 200, "")
}
