//go:build linux

package apps

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

const mediaWikiSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	@private path /cache/* /includes/* /languages/* /maintenance/* /images/deleted/*
	respond @private 403
	PHP {
		capture_stderr
	}
	file_server
}
`

// TestMediaWiki installs Debian's MediaWiki with its own installer, and uses it in a
// browser. What it does after a response is awaited.
func TestMediaWiki(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, append(slices.Clone(harness.BothTransports), harness.FPM), func(t *testing.T, b harness.Backend) {
		dir := harness.UnpackDebs(t, "mediawiki", "mediawiki-classes")
		data := filepath.Join(dir, "var/lib/mediawiki/data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		harness.ChownToPHP(t, data)
		s := harness.Start(t, b, mediaWikiSite, harness.Options{Site: filepath.Join(dir, "usr/share/mediawiki")})
		settings := installMediaWiki(s, data) // whose wgServer has no port: X-Forwarded-Proto is that of a proxy
		harness.WriteFile(t, filepath.Join(dir, "etc/mediawiki/LocalSettings.php"), settings+"\n$wgEnableUploads = true;\n$wgShowExceptionDetails = true;\n$wgUseImageMagick = false;\n$wgCacheDirectory = '"+data+"';\n$wgServer = '"+s.URL+"';\n")
		useMediaWiki(s)
	})
}

// installMediaWiki goes through the pages of the installer, and returns the settings
// that it makes.
func installMediaWiki(s *harness.Server, data string) string {
	s.T.Helper()
	user := s.Browser()
	page := user.Open("/mw-config/index.php")
	next := func(values ...string) {
		s.T.Helper()
		page = page.Form("submit-continue").Set(append(values, "submit-continue", "Continue")...).Submit()
	}
	page = user.Open("/mw-config/index.php?page=Language")
	next("uselang", "en", "ContLang", "en")
	page.MustContain("Environmental checks", "can install MediaWiki")
	next()
	next("DBType", "sqlite", "sqlite_wgSQLiteDataDir", data, "sqlite_wgDBname", "wiki")
	next("config_wgSitename", "The Test Wiki", "config__NamespaceType", "site-name", "config__AdminName", "Ada", "config__AdminPassword", "a Secret 1234",
		"config__AdminPasswordConfirm", "a Secret 1234", "config__AdminEmail", "", "config__SkipOptional", "skip")
	next()
	page.MustContain("Creating administrator user account")
	next()
	return user.Open("/mw-config/index.php?localsettings=1").MustContain("$wgSitename = \"The Test Wiki\"").Text
}

func useMediaWiki(s *harness.Server) {
	s.T.Helper()
	writer, reader := s.Browser(), s.Browser()
	reader.Open("/index.php").MustContain("MediaWiki has been installed")
	writer.Open("/index.php?title=Special:UserLogin").Form("wpPassword").
		Set("wpName", "Ada", "wpPassword", "a Secret 1234", "wploginattempt", "Log in").Submit().MustContain(`"wgUserName":"Ada"`)

	write := func(title, text string) *harness.Page {
		s.T.Helper()
		return writer.Open("/index.php?action=edit&title="+title).Form("wpTextbox1").Set("wpTextbox1", text, "wpSummary", "written", "wpSave", "Save").Submit()
	}
	write("Zebrafish", "A '''php_pool''' swims. ünïcode & <nowiki>&lt;</nowiki> [[Category:Fish]]").MustContain("<b>php_pool</b>", "ünïcode")
	reader.Open("/index.php?title=Zebrafish").MustContain("<b>php_pool</b>", "Category:Fish")
	write("Zebrafish", "A '''php_pool''' swims, and a quokka looks. [[Category:Fish]]").MustContain("quokka")
	reader.Open("/index.php?title=Zebrafish&action=history").MustContain("written", "Special:Contributions/Ada")

	// These are updated after the response.
	for path, want := range map[string]string{
		"/index.php?title=Category:Fish":                                                  `title="Zebrafish"`,
		"/index.php?title=Special:Search&fulltext=1&search=quokka":                        `title="Zebrafish"`,
		"/index.php?title=Special:RecentChanges":                                          `title="Zebrafish"`,
		"/api.php?action=query&list=users&ususers=Ada&usprop=editcount&format=json":       `"editcount":2`,
		"/api.php?action=query&prop=categories&titles=Zebrafish&format=json":              `"Category:Fish"`,
		"/api.php?action=query&meta=siteinfo&siprop=statistics&format=json&requestid=one": `"users":1`,
	} {
		harness.Eventually(s.T, func() error {
			if res := s.Get(path); !strings.Contains(res.Text, want) {
				return fmt.Errorf("%s does not have %s: %.3000s", path, want, res.Text)
			}
			return nil
		})
	}

	picture := string(harness.Picture(s.T))
	upload := writer.Open("/index.php?title=Special:Upload").Form("wpUploadFile").
		Set("wpDestFile", "Picture.png", "wpUpload", "Upload file", "wpIgnoreWarning", "1").Attach("wpUploadFile", "picture.png", []byte(picture)).Submit()
	whole := regexp.MustCompile(`href="(/images/\w/\w\w/Picture\.png)"`).FindStringSubmatch(upload.Text)
	if whole == nil {
		s.T.Fatalf("no picture was uploaded: %.3000s", upload.Text)
	}
	s.Get(whole[1]).Want(s.T, 200, picture)
	page := write("Picture", "[[File:Picture.png|thumb|64px|A picture]]").Text
	small := regexp.MustCompile(`src="(/images/thumb/[^"]*/64px-Picture\.png)"`).FindStringSubmatch(page)
	if small == nil {
		_, at, _ := strings.Cut(page, "mw-parser-output")
		s.T.Fatalf("the page shows no small picture: %.1000s", at)
	}
	res := s.Get(html.UnescapeString(small[1]))
	if res.Want(s.T, 200, ""); !strings.HasPrefix(res.Text, "\x89PNG") || len(res.Text) >= len(picture) {
		s.T.Errorf("the small picture has %d bytes, the whole one %d", len(res.Text), len(picture))
	}
	s.Get("/cache/.htaccess").Want(s.T, 403, "")
}
