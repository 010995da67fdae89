//go:build linux

package apps

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// phpMyAdminSite has the two rules of Debian's apache.conf.
const phpMyAdminSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	@private path /templates/* /libraries/*
	respond @private 403
	PHP {
		capture_stderr
	}
	file_server
}
`

// TestPHPMyAdmin uses Debian's phpMyAdmin behind php_pool, and behind php_fastcgi with
// php-fpm.
func TestPHPMyAdmin(t *testing.T) {
	t.Parallel()
	harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
		s := startPHPMyAdmin(t, b)
		r := s.Record(phpMyAdminMasks...)
		usePHPMyAdmin(s)
		return r.RoundTrips()
	})
}

func startPHPMyAdmin(t *testing.T, b harness.Backend) *harness.Server {
	t.Helper()
	dir := harness.UnpackApp(t, "phpmyadmin")
	socket := harness.StartMariaDB(t, "shop")
	harness.MovePaths(t, dir, "usr/share/phpmyadmin/libraries/vendor_config.php")
	harness.WriteFile(t, filepath.Join(dir, "etc/phpmyadmin/config.inc.php"), fmt.Sprintf(`<?php
$cfg['blowfish_secret'] = 'Of thirty-two bytes, as it wants';
$cfg['Servers'][1] = ['auth_type' => 'cookie', 'host' => 'localhost', 'socket' => '%s', 'only_db' => 'shop'];
$cfg['SendErrorReports'] = 'never';
`, socket))
	harness.ChownToPHP(t, dir)
	return harness.Start(t, b, phpMyAdminSite, harness.Options{
		Site: filepath.Join(dir, "usr/share/phpmyadmin"),
		INI:  [][2]string{{"include_path", ".:" + filepath.Join(dir, "usr/share/php") + ":/usr/share/php"}},
	})
}

var phpMyAdminMasks = []harness.Mask{
	harness.NewMask(`(?m)^(Expires|Last-Modified): .*$`, "$1: TIME"),
	harness.NewMask(`(Set-Cookie: (?:phpMyAdmin|pmaUser-1|pmaAuth-1))=[^;]+`, "$1=SECRET"),
	harness.NewMask(`\b([0-9a-f]{32}){1,2}\b`, "TOKEN"),
	harness.NewMask(`(name="noplugin" value=")\w+`, "${1}UNIQUE"),
	harness.NewMask(`((showAll|display_(binary|blob)|hide_transformation|resultsForm)_|partialFulltextRadio[PF]|geoOptionRadio(Geom|Wk[tb])|data-(for|uniqueId)=\\?")\d+`, "${1}UNIQUE"),
	harness.NewMask(`took \d+\.\d+ seconds`, "took SOME seconds"),
	harness.NewMask(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|(Generation Time: ).*`, "${1}TIME"),
	harness.NewMask(`(name="set_session" value=")\w+`, "${1}SESSION"),
}

// usePHPMyAdmin logs in, creates, fills and shows a table, imports and exports.
func usePHPMyAdmin(s *harness.Server) {
	t := s.T
	b := s.Browser()
	login := b.Open("/")
	login.Form("login_form").Set("pma_username", "ada", "pma_password", "a Secret & 1").Submit().MustContain("shop")
	for _, path := range []string{"/js/messages.php?l=en", "/themes/pmahomme/css/theme.css", "/js/vendor/jquery/jquery.min.js", "/favicon.ico"} {
		b.Open(path)
	}
	s.Get("/", "Accept-Encoding: gzip").Want(t, 200, "") // PHP compresses it
	s.Get("/libraries/config.default.php").Want(t, 403, "")
	s.Get("/index.php?route=/database/structure&db=shop").Want(t, 200, "") // logged out

	query := func(sql string) *harness.Page {
		page := b.Open("/index.php?route=/database/sql&db=shop")
		return page.Form("sqlqueryform").Set("sql_query", sql, "ajax_request", "1", "SQL", "Go").Submit()
	}
	query("CREATE TABLE animals (id int PRIMARY KEY AUTO_INCREMENT, name varchar(40), picture blob) CHARSET=utf8mb4").MustContain(`"success":true`)
	query("INSERT INTO animals (name, picture) VALUES ('Zebrafish & ünïcode', x'00ff'), ('Quokka', NULL)").MustContain("2 rows inserted")
	b.Open("/index.php?route=/database/structure&db=shop").MustContain("animals")
	b.Open("/index.php?route=/sql&db=shop&table=animals&pos=0").MustContain("Zebrafish &amp; ünïcode", "Quokka")
	query("SELECT name, length(picture) FROM animals WHERE name LIKE 'Z%'").MustContain("Zebrafish")
	query("SELECT nothing FROM animals").MustContain(`"success":false`, "Unknown column")

	var sql strings.Builder
	for i := range 500 {
		fmt.Fprintf(&sql, "INSERT INTO animals (name) VALUES ('imported %d');\n", i)
	}
	page := b.Open("/index.php?route=/database/import&db=shop")
	page.Form("import_file_form").Set("format", "sql").Attach("import_file", "animals.sql", []byte(sql.String())).Submit().MustContain("500 queries executed")
	b.Open("/index.php?route=/sql&db=shop&table=animals&pos=450").MustContain("imported 460")

	for _, compression := range []string{"none", "gzip"} {
		dump := b.Open("/index.php?route=/database/export&db=shop").Form("quick_or_custom").Set("compression", compression).Submit()
		if got := dump.Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
			t.Errorf("an export with compression %s has Content-Disposition %q", compression, got)
		}
		if compression == "none" {
			dump.MustContain("CREATE TABLE `animals`", "'imported 499'")
		}
	}
	token := b.Open("/index.php?route=/").Form("token").Values.Get("token")
	body := strings.NewReader("token=" + token)
	b.Visit(s.Request("POST", "/index.php?route=/logout", body, "Content-Type: application/x-www-form-urlencoded")).MustContain("pma_username")
}
