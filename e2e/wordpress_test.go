//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestWordPress installs Debian's WordPress with its own installer and works
// with it: only wp-config.php, which every site writes, is ours.
func TestWordPress(t *testing.T) {
	t.Parallel()
	databases := map[string]string{sharedLean.name: "shared_lean", singleProxy.name: "single_proxy", fpm.name: "fpm"}
	socket := startMariaDB(t, "shared_lean", "single_proxy", "fpm")
	each(t, bothWays, func(t *testing.T, b backend) {
		w := startWordPress(t, b, socket, databases[b.name])
		w.install()
		// WordPress publishes at once what has less than a minute to wait.
		w.later = w.post("Later", time.Now().UTC().Add(65*time.Second).Format("2006-01-02T15:04:05"))
		w.s.get("/"+w.later+"/").want(t, 404, "")
		for _, c := range []struct {
			name string
			run  func(*wordPress)
		}{
			{"a pretty address is a page", publishPost},
			{"an uploaded picture comes back, and smaller ones are made", uploadPicture},
			{"a comment appears", comment},
			{"search finds", search},
			{"the heartbeat beats", heartbeat},
			{"WordPress reaches itself", loopback},
			{"what does not exist is WordPress's own 404", func(w *wordPress) {
				w.s.get("/no-such-page/").contains(w.s.t, 404, "<html", "wp-block")
			}},
			{"what is no script is Caddy's", func(w *wordPress) {
				if res := w.s.get("/wp-includes/css/dashicons.min.css"); res.StatusCode != 200 || res.Header.Get("Etag") == "" {
					w.s.t.Errorf("got status %d, headers %v", res.StatusCode, res.Header)
				}
			}},
			{"cron publishes when it is time", cron},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(w.in(t)) })
		}
	})
}

// wordPress is a site, with somebody logged in and somebody who is not.
type wordPress struct {
	s             *server
	admin, reader *browser
	nonce         string // for the REST API
	later         string // the slug of a post that is to appear
}

// in lets a part of the test use the site.
func (w wordPress) in(t *testing.T) *wordPress {
	s, admin, reader := *w.s, *w.admin, *w.reader
	s.t, admin.t, reader.t = t, t, t
	w.s, w.admin, w.reader = &s, &admin, &reader
	return &w
}

func startWordPress(t *testing.T, b backend, socket, database string) *wordPress {
	t.Helper()
	// WordPress calls itself by HTTP, so it needs more workers than clients.
	s := start(t, b, plainSite, options{site: unpackWordPress(t, socket, database, ""), workers: 4})
	return &wordPress{s: s, admin: s.browser(), reader: s.browser()}
}

// unpackWordPress makes a document root of it, with more PHP in its config.
func unpackWordPress(t *testing.T, socket, database, more string) (site string) {
	t.Helper()
	dir := unpack(t, "wordpress", "wordpress-theme-*", "php-getid3", "libjs-underscore", "libjs-cropper")
	site = filepath.Join(dir, "usr/share/wordpress")
	// Nothing outside is asked, and two cron runs may follow each other at once.
	writeFile(t, filepath.Join(site, "wp-config.php"), fmt.Sprintf(`<?php
define('DB_NAME', '%s');
define('DB_USER', 'nobody');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%s');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('WP_ACCESSIBLE_HOSTS', '127.0.0.1');
define('WP_CRON_LOCK_TIMEOUT', 1);
%s
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`, database, socket, more))
	giveToPHP(t, dir)
	return site
}

func (w *wordPress) install() {
	const password = "a Secret & 1"
	w.s.t.Helper()
	w.admin.open("/wp-admin/install.php").form("setup").set(
		"weblog_title", "The Test Blog", "user_name", "ada", "admin_password", password, "admin_password2", password,
		"pw_weak", "on", "admin_email", "ada@example.test", "blog_public", "0",
	).submit().must("WordPress has been installed")
	w.admin.open("/wp-login.php").form("loginform").set("log", "ada", "pwd", password).submit().must("Dashboard", "wpadminbar")
	w.admin.open("/wp-admin/options-permalink.php").form("permalink_structure").
		set("selection", "/%postname%/", "permalink_structure", "/%postname%/").submit().must("Permalink structure updated")
	w.nonce = w.admin.open("/wp-admin/admin-ajax.php?action=rest-nonce").body
}

// create makes something by the REST API.
func (w *wordPress) create(what, contentType, body string, headers ...string) map[string]any {
	w.s.t.Helper()
	req := w.s.request("POST", "/wp-json/wp/v2/"+what, strings.NewReader(body), headers...)
	req.Header.Set("X-WP-Nonce", w.nonce)
	req.Header.Set("Content-Type", contentType)
	res := do(w.s.t, w.admin.client, req)
	var made map[string]any
	if err := json.Unmarshal([]byte(res.body), &made); err != nil || res.StatusCode != 201 {
		w.s.t.Fatalf("creating %s: got status %d, %v: %.1000s", what, res.StatusCode, err, res.body)
	}
	return made
}

func (w *wordPress) post(title, date string) (address string) {
	w.s.t.Helper()
	post := map[string]string{"title": title, "content": "<p>Ünïcode & " + title + "</p>", "status": "publish"}
	if date != "" {
		post["date_gmt"], post["status"] = date, "future"
	}
	body, err := json.Marshal(post)
	if err != nil {
		w.s.t.Fatal(err)
	}
	return fmt.Sprint(w.create("posts", "application/json", string(body))["slug"])
}

func publishPost(w *wordPress) {
	t := w.s.t
	if slug := w.post("Zebrafish by php_pool", ""); slug != "zebrafish-by-php_pool" {
		t.Errorf("got the slug %q", slug)
	}
	w.reader.open("/zebrafish-by-php_pool/").must("Ünïcode &#038; Zebrafish", "The Test Blog")
	w.reader.open("/feed/").must("Zebrafish by php_pool")
	w.admin.open("/wp-admin/edit.php").must("Zebrafish by php_pool")
	// Without its last slash the address is WordPress's to correct.
	if res := w.s.get("/zebrafish-by-php_pool"); res.StatusCode != 301 || res.Header.Get("Location") != w.s.url+"/zebrafish-by-php_pool/" {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func uploadPicture(w *wordPress) {
	t := w.s.t
	want := picture(t)
	made := w.create("media", "image/png", string(want), `Content-Disposition: attachment; filename="a picture.png"`)
	address, err := url.Parse(fmt.Sprint(made["source_url"]))
	if err != nil {
		t.Fatal(err)
	}
	res := w.s.get(address.Path)
	if res.want(t, 200, string(want)); res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s: got Content-Type %q", address, res.Header.Get("Content-Type"))
	}
	details, _ := json.Marshal(made["media_details"])
	small := regexp.MustCompile(`"source_url":"[^"]*(/wp-content/[^"]*-150x150.png)"`).FindSubmatch(details)
	if small == nil {
		t.Fatalf("WordPress made no small picture: %s", details)
	}
	w.s.get(string(small[1])).contains(t, 200, "\x89PNG")
}

func comment(w *wordPress) {
	page := w.admin.open("/zebrafish-by-php_pool/")
	page.form("commentform").set("comment", "A comment on quokkas").submit().must("A comment on quokkas")
	w.reader.open("/zebrafish-by-php_pool/").must("A comment on quokkas")
}

func search(w *wordPress) {
	t := w.s.t
	w.reader.open("/?s=zebrafish").must("Zebrafish by php_pool")
	if body := w.reader.open("/?s=nosuchword").body; strings.Contains(body, "Zebrafish by php_pool") {
		t.Error("search finds what is not there")
	}
}

func heartbeat(w *wordPress) {
	t := w.s.t
	dashboard := w.admin.open("/wp-admin/")
	nonce := regexp.MustCompile(`heartbeatSettings = \{"nonce":"(\w+)"`).FindStringSubmatch(dashboard.body)
	if nonce == nil {
		t.Fatal("the dashboard has no heartbeat")
	}
	body := url.Values{"action": {"heartbeat"}, "_nonce": {nonce[1]}, "screen_id": {"dashboard"}, "has_focus": {"true"}}.Encode()
	req := w.s.request("POST", "/wp-admin/admin-ajax.php", strings.NewReader(body), "Content-Type: application/x-www-form-urlencoded")
	w.admin.visit(req).must(`"server_time"`)
}

func loopback(w *wordPress) {
	req := w.s.request("GET", "/wp-json/wp-site-health/v1/tests/loopback-requests", nil, "X-Wp-Nonce: "+w.nonce)
	w.admin.visit(req).must(`"status":"good"`)
}

func cron(w *wordPress) {
	t := w.s.t
	eventually(t, func() error {
		w.s.get("/wp-cron.php").want(t, 200, "")
		if res := w.s.get("/" + w.later + "/"); res.StatusCode != 200 {
			return fmt.Errorf("the post is not published: %s", res.Status)
		}
		return nil
	})
}
