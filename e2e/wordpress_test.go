//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
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
