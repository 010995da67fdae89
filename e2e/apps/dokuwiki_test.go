//go:build linux

package apps

import (
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// dokuWikiSite follows the web server section of DokuWiki's manual.
const dokuWikiSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	@private path /data/* /conf/* /bin/* /inc/* /vendor/*
	respond @private 403
	PHP {
		capture_stderr
	}
	file_server
}
`

// TestDokuWiki installs Debian's DokuWiki, unchanged, with its own installer, and uses it
// in a browser: behind php_pool, and behind php_fastcgi with php-fpm.
func TestDokuWiki(t *testing.T) {
	t.Parallel()
	harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
		s := startDokuWiki(t, b)
		unrecorded := s.Client
		r := s.Record(dokuWikiMasks...)
		installDokuWiki(s)

		writer, reader := s.Browser(), s.Browser()
		if body := reader.Open("/doku.php").Text; strings.Contains(body, "Ada Writer") {
			t.Error("a new visitor is logged in")
		}
		writer.Open("/doku.php?do=login").Form("dw__login").Set("u", "ada", "p", "a Secret 1").Submit().MustContain("Ada Writer")

		text := "====== A page ======\n\nWritten with **php_pool**: ünïcode, zebrafish & <nowiki>&lt;</nowiki>.\n"
		edit := writer.Open("/doku.php?id=test:page&do=edit").Form("dw__editform")
		edit.Set("wikitext", text, "do[save]", "1").Submit().MustContain("zebrafish", "<strong>php_pool</strong>")
		reader.Open("/doku.php?id=test:page").MustContain("zebrafish", "ünïcode")

		saved := time.Now().Unix()
		edit = writer.Open("/doku.php?id=test:page&do=edit").Form("dw__editform")
		if got := strings.ReplaceAll(edit.Values.Get("wikitext"), "\r\n", "\n"); got != text {
			t.Errorf("the text to edit: got %q, want %q", got, text)
		}
		harness.Eventually(t, func() error { // two changes in one second are one revision
			if time.Now().Unix() == saved {
				return errors.New("the clock stands still")
			}
			return nil
		})
		edit.Set("wikitext", text+"\nA second line about quokkas.\n", "do[save]", "1").Submit().MustContain("quokkas")
		reader.Open("/doku.php?id=test:page&do=revisions").MustContain("Old Revisions", "ada")

		uploadToDokuWiki(t, s, writer, reader)

		// A picture at the end of each page updates the search index.
		writer.Open("/lib/exe/taskrunner.php?id=test:page")
		const search = "/doku.php?do=search&q=zebrafish"
		harness.Eventually(t, func() error { // the script goes on after it has sent the picture
			if res := harness.Do(t, unrecorded, s.Request("GET", search, nil)); !strings.Contains(res.Text, "search_hit") {
				return fmt.Errorf("the search index is not updated: %.3000s", res.Text)
			}
			return nil
		})
		reader.Open(search).MustContain("test:page", "zebrafish")
		reader.Open("/lib/exe/css.php").MustContain("body")
		s.Get("/lib/images/license/badge/cc-by-sa.png").Want(t, 200, "")
		s.Get("/data/pages/test/page.txt").Want(t, 403, "")
		return r.RoundTrips()
	})
}

var dokuWikiMasks = []harness.Mask{
	harness.NewMask(`(Set-Cookie: \w+)=[^;]+`, "$1=SECRET"),
	harness.NewMask(`\b(DW)?[0-9a-f]{32}\b`, "TOKEN"),
	harness.NewMask(`\btok=[0-9a-f]{6}\b`, "tok=TOKEN"),
	harness.NewMask(`\d+ seconds? ago|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`, "TIME"),
	harness.NewMask(`\b(min|max)=\d{4}-\d\d-\d\d`, "$1=DAY"),
	harness.NewMask(`\d{4}\\?/\d\d\\?/\d\d \d\d:\d\d|\b1[5-9]\d{8}\b`, "TIME"),
}

// uploadToDokuWiki uploads a picture by form and by AJAX.
func uploadToDokuWiki(t *testing.T, s *harness.Server, writer, reader *harness.Browser) {
	t.Helper()
	want := harness.Picture(t)
	manager := writer.Open("/lib/exe/mediamanager.php?ns=test&edid=wiki__text&tab_files=upload")
	upload := manager.Form("dw__upload")
	upload.Set("mediaid", "form.png").Attach("upload", "form.png", want).Submit()

	req := harness.NewRequest(t, "POST", s.URL+"/lib/exe/ajax.php?call=mediaupload&ns=test&qqfile=raw.png&sectok="+upload.Values.Get("sectok"), strings.NewReader(string(want)))
	req.Header.Set("Content-Type", "application/octet-stream")
	writer.Visit(req).MustContain(`"success":true`)

	for _, name := range []string{"form.png", "raw.png"} {
		res := harness.Do(t, reader.Client, harness.NewRequest(t, "GET", s.URL+"/lib/exe/fetch.php?media=test:"+name, nil))
		if res.Want(t, 200, string(want)); res.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: got Content-Type %q", name, res.Header.Get("Content-Type"))
		}
	}

	// PHP scales the picture for the page that shows it.
	writer.Open("/doku.php?id=test:picture&do=edit").Form("dw__editform").Set("wikitext", "{{test:form.png?64}}", "do[save]", "1").Submit()
	small := smallPicture.FindStringSubmatch(reader.Open("/doku.php?id=test:picture").Text)
	if small == nil {
		t.Fatal("the page shows no small picture")
	}
	res := harness.Do(t, reader.Client, harness.NewRequest(t, "GET", s.URL+html.UnescapeString(small[1]), nil))
	if res.Want(t, 200, ""); !strings.HasPrefix(res.Text, "\x89PNG") || len(res.Text) >= len(want) {
		t.Errorf("a picture made smaller has %d bytes, the whole one %d", len(res.Text), len(want))
	}
}

var smallPicture = regexp.MustCompile(`src="([^"]*fetch\.php[^"]*w=64[^"]*)"`)

// startDokuWiki runs Debian's DokuWiki from a private directory. Debian keeps the
// configuration in /etc; constants move it. The installer expects the data beside
// itself.
func startDokuWiki(t *testing.T, b harness.Backend) *harness.Server {
	t.Helper()
	dir := harness.UnpackDebs(t, "dokuwiki")
	harness.WriteFile(t, filepath.Join(dir, "place.php"), fmt.Sprintf(`<?php
define('DOKU_MAIN_CONF', '%[1]s/etc/dokuwiki/');
define('DOKU_CONF', '%[1]s/etc/dokuwiki/');
define('DOKU_LOCAL', '%[1]s/etc/dokuwiki/');
`, dir))
	harness.WriteFile(t, filepath.Join(dir, "etc/dokuwiki/local.protected.php"), fmt.Sprintf(`<?php
$conf['savedir'] = '%s/var/lib/dokuwiki/data';
`, dir))
	if err := os.Symlink(filepath.Join(dir, "var/lib/dokuwiki/data"), filepath.Join(dir, "usr/share/dokuwiki/data")); err != nil {
		t.Fatal(err)
	}
	harness.ChownToPHP(t, dir)
	return harness.Start(t, b, dokuWikiSite, harness.Options{
		Site: filepath.Join(dir, "usr/share/dokuwiki"),
		INI:  [][2]string{{"auto_prepend_file", filepath.Join(dir, "place.php")}},
	})
}

func installDokuWiki(s *harness.Server) {
	s.T.Helper()
	s.Browser().Open("/install.php").Form("d[title]").Set(
		"d[title]", "The Test Wiki", "d[acl]", "on", "d[superuser]", "ada", "d[fullname]", "Ada Writer", "d[email]", "ada@example.test",
		"d[password]", "a Secret 1", "d[confirm]", "a Secret 1", "d[policy]", "0", "d[license]", "cc-by-sa", "submit", "",
	).Submit().MustContain("configuration was finished successfully")
}
