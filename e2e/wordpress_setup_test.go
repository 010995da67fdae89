//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

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
