//go:build linux

package e2e

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dokuWikiSite is what DokuWiki's manual asks of a web server.
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

// TestDokuWiki installs Debian's DokuWiki with its own installer and works with
// it: not one line of it is changed.
func TestDokuWiki(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		s := startDokuWiki(t, b)
		installDokuWiki(s)

		writer, reader := s.browser(), s.browser()
		if body := reader.open("/doku.php").body; strings.Contains(body, "Ada Writer") {
			t.Error("somebody is logged in before anybody was")
		}
		writer.open("/doku.php?do=login").form("dw__login").set("u", "ada", "p", "a Secret 1").submit().must("Ada Writer")

		text := "====== A page ======\n\nWritten with **php_pool**: ünïcode, zebrafish & <nowiki>&lt;</nowiki>.\n"
		edit := writer.open("/doku.php?id=test:page&do=edit").form("dw__editform")
		edit.set("wikitext", text, "do[save]", "1").submit().must("zebrafish", "<strong>php_pool</strong>")
		reader.open("/doku.php?id=test:page").must("zebrafish", "ünïcode")

		edit = writer.open("/doku.php?id=test:page&do=edit").form("dw__editform")
		if got := strings.ReplaceAll(edit.values.Get("wikitext"), "\r\n", "\n"); got != text {
			t.Errorf("the text to edit: got %q, want %q", got, text)
		}
		edit.set("wikitext", text+"\nA second line about quokkas.\n", "do[save]", "1").submit().must("quokkas")
		reader.open("/doku.php?id=test:page&do=revisions").must("Old Revisions", "ada")

		uploadToDokuWiki(t, s, writer, reader)

		// The index is made by a picture at the foot of each page.
		writer.open("/lib/exe/taskrunner.php?id=test:page")
		reader.open("/doku.php?do=search&q=zebrafish").must("test:page", "zebrafish")
		reader.open("/lib/exe/css.php").must("body")
		s.get("/lib/images/license/badge/cc-by-sa.png").want(t, 200, "")
		s.get("/data/pages/test/page.txt").want(t, 403, "")
	})
}

// uploadToDokuWiki uploads a picture in both of DokuWiki's ways.
func uploadToDokuWiki(t *testing.T, s *server, writer, reader *browser) {
	t.Helper()
	want := picture(t)
	manager := writer.open("/lib/exe/mediamanager.php?ns=test&edid=wiki__text&tab_files=upload")
	upload := manager.form("dw__upload")
	upload.set("mediaid", "form.png").attach("upload", "form.png", want).submit()

	req := newRequest(t, "POST", s.url+"/lib/exe/ajax.php?call=mediaupload&ns=test&qqfile=raw.png&sectok="+upload.values.Get("sectok"), strings.NewReader(string(want)))
	req.Header.Set("Content-Type", "application/octet-stream")
	writer.visit(req).must(`"success":true`)

	for _, name := range []string{"form.png", "raw.png"} {
		res := do(t, reader.client, newRequest(t, "GET", s.url+"/lib/exe/fetch.php?media=test:"+name, nil))
		if res.want(t, 200, string(want)); res.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s: got Content-Type %q", name, res.Header.Get("Content-Type"))
		}
	}

	// A smaller picture is made by PHP, on the page that shows it.
	writer.open("/doku.php?id=test:picture&do=edit").form("dw__editform").set("wikitext", "{{test:form.png?64}}", "do[save]", "1").submit()
	small := smallPicture.FindStringSubmatch(reader.open("/doku.php?id=test:picture").body)
	if small == nil {
		t.Fatal("the page shows no small picture")
	}
	res := do(t, reader.client, newRequest(t, "GET", s.url+html.UnescapeString(small[1]), nil))
	if res.want(t, 200, ""); !strings.HasPrefix(res.body, "\x89PNG") || len(res.body) >= len(want) {
		t.Errorf("a picture made smaller has %d bytes, the whole one %d", len(res.body), len(want))
	}
}

var smallPicture = regexp.MustCompile(`src="([^"]*fetch\.php[^"]*w=64[^"]*)"`)

// startDokuWiki runs Debian's DokuWiki from a private place. Debian put its
// configuration in /etc, and left constants to say that it is elsewhere; the
// installer wants the data beside itself.
func startDokuWiki(t *testing.T, b backend) *server {
	t.Helper()
	dir := unpack(t, "dokuwiki")
	writeFile(t, filepath.Join(dir, "place.php"), fmt.Sprintf(`<?php
define('DOKU_MAIN_CONF', '%[1]s/etc/dokuwiki/');
define('DOKU_CONF', '%[1]s/etc/dokuwiki/');
define('DOKU_LOCAL', '%[1]s/etc/dokuwiki/');
`, dir))
	writeFile(t, filepath.Join(dir, "etc/dokuwiki/local.protected.php"), fmt.Sprintf(`<?php
$conf['savedir'] = '%s/var/lib/dokuwiki/data';
`, dir))
	if err := os.Symlink(filepath.Join(dir, "var/lib/dokuwiki/data"), filepath.Join(dir, "usr/share/dokuwiki/data")); err != nil {
		t.Fatal(err)
	}
	giveToPHP(t, dir)
	return start(t, b, dokuWikiSite, options{
		site: filepath.Join(dir, "usr/share/dokuwiki"),
		ini:  [][2]string{{"auto_prepend_file", filepath.Join(dir, "place.php")}},
	})
}

func installDokuWiki(s *server) {
	s.t.Helper()
	s.browser().open("/install.php").form("d[title]").set(
		"d[title]", "The Test Wiki", "d[acl]", "on", "d[superuser]", "ada", "d[fullname]", "Ada Writer", "d[email]", "ada@example.test",
		"d[password]", "a Secret 1", "d[confirm]", "a Secret 1", "d[policy]", "0", "d[license]", "cc-by-sa", "submit", "",
	).submit().must("configuration was finished successfully")
}
