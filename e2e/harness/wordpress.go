//go:build linux

package harness

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// WordPress is an installed site with two browsers, one of them logged in.
type WordPress struct {
	Server        *Server
	Admin, Reader *Browser
	Nonce         string // for the REST API
	ScheduledPost string // the slug of a post that is published later
}

// With returns the site for use in a subtest.
func (w WordPress) With(tb testing.TB) *WordPress {
	tb.Helper()
	s, admin, reader := *w.Server, *w.Admin, *w.Reader
	s.T, admin.T, reader.T = tb, tb, tb
	w.Server, w.Admin, w.Reader = &s, &admin, &reader
	return &w
}

// StartWordPress unpacks WordPress and serves it. It is not installed yet.
func StartWordPress(tb testing.TB, b Backend, socket, database string) *WordPress {
	tb.Helper()
	// WordPress sends HTTP requests to itself, so it needs more workers than clients.
	s := Start(tb, b, PlainSite, Options{Site: UnpackWordPress(tb, socket, database, ""), Workers: 4})
	return &WordPress{Server: s, Admin: s.Browser(), Reader: s.Browser()}
}

// UnpackWordPress creates a document root, with more PHP in its configuration.
func UnpackWordPress(tb testing.TB, socket, database, more string) (site string) {
	tb.Helper()
	dir := UnpackDebs(tb, "wordpress", "wordpress-theme-*", "php-getid3", "libjs-underscore", "libjs-cropper")
	site = filepath.Join(dir, "usr/share/wordpress")
	// No request leaves this machine, and cron may run twice in a row. Pages do not start
	// cron: beside one that schedules a post, cron overwrites the list of events, and the
	// post is never published.
	WriteFile(tb, filepath.Join(site, "wp-config.php"), fmt.Sprintf(`<?php
define('DB_NAME', '%s');
define('DB_USER', 'nobody');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%s');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('WP_ACCESSIBLE_HOSTS', '127.0.0.1');
define('WP_CRON_LOCK_TIMEOUT', 1);
define('DISABLE_WP_CRON', true);
%s
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`, database, socket, more))
	ChownToPHP(tb, dir)
	return site
}

// Install runs the installer, logs in, and enables pretty addresses.
func (w *WordPress) Install() {
	const password = "a Secret & 1"
	w.Server.T.Helper()
	w.Admin.Open("/wp-admin/install.php").Form("setup").Set(
		"weblog_title", "The Test Blog", "user_name", "ada", "admin_password", password, "admin_password2", password,
		"pw_weak", "on", "admin_email", "ada@example.test", "blog_public", "0",
	).Submit().MustContain("WordPress has been installed")
	w.Admin.Open("/wp-login.php").Form("loginform").Set("log", "ada", "pwd", password).Submit().MustContain("Dashboard", "wpadminbar")
	w.Admin.Open("/wp-admin/options-permalink.php").Form("permalink_structure").
		Set("selection", "/%postname%/", "permalink_structure", "/%postname%/").Submit().MustContain("Permalink structure updated")
	w.Nonce = w.Admin.Open("/wp-admin/admin-ajax.php?action=rest-nonce").Text
}

// Create creates an object by the REST API.
func (w *WordPress) Create(what, contentType, body string, headers ...string) map[string]any {
	w.Server.T.Helper()
	req := w.Server.Request("POST", "/wp-json/wp/v2/"+what, strings.NewReader(body), headers...)
	req.Header.Set("X-WP-Nonce", w.Nonce)
	req.Header.Set("Content-Type", contentType)
	res := Do(w.Server.T, w.Admin.Client, req)
	var made map[string]any
	if err := json.Unmarshal([]byte(res.Text), &made); err != nil || res.StatusCode != 201 {
		w.Server.T.Fatalf("creating %s: got status %d, %v: %.1000s", what, res.StatusCode, err, res.Text)
	}
	return made
}

// Post publishes a post, now or at a date, and returns its slug.
func (w *WordPress) Post(title, date string) (address string) {
	w.Server.T.Helper()
	post := map[string]string{"title": title, "content": "<p>Ünïcode & " + title + "</p>", "status": "publish"}
	if date != "" {
		post["date_gmt"], post["status"] = date, "future"
	}
	body, err := json.Marshal(post)
	if err != nil {
		w.Server.T.Fatal(err)
	}
	return fmt.Sprint(w.Create("posts", "application/json", string(body))["slug"])
}
