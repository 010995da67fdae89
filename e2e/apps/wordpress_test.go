//go:build linux

package apps

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestWordPress installs Debian's WordPress with its own installer and uses it.
// Only wp-config.php, which every site has to write, is ours.
func TestWordPress(t *testing.T) {
	t.Parallel()
	databases := map[string]string{harness.SharedLean.Name: "shared_lean", harness.SingleProxy.Name: "single_proxy", harness.FPM.Name: "fpm"}
	socket := harness.StartMariaDB(t, "shared_lean", "single_proxy", "fpm", "nginx")
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		useWordPress(t, harness.StartWordPress(t, b, socket, databases[b.Name]))
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		useWordPress(t, startBehindNginx(t, socket, "nginx"))
	})
}

// startBehindNginx serves WordPress by nginx, as Debian configures it for php-fpm, with
// caddy php-pool fpm and the configuration of php-fpm.
func startBehindNginx(t *testing.T, socket, database string) *harness.WordPress {
	t.Helper()
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Site: harness.UnpackWordPress(t, socket, database, "")})
	if err := s.Run(""); err != nil { // it has nothing to do
		t.Fatal(err)
	}
	c := harness.FPMCommand(t, s.Dir, harness.Options{Workers: 4})
	c.Args = append([]string{harness.CaddyBinary, "php-pool", "fpm"}, c.Args[1:]...)
	c.Env = append(c.Env, "HOME="+s.Dir)
	fpm := harness.Supervise(t, c)
	t.Cleanup(func() { // so that it removes its files
		fpm.Signal(syscall.SIGTERM)
		fpm.Wait(harness.MaxWait)
	})
	harness.Eventually(t, func() error {
		_, err := os.Stat(filepath.Join(s.Dir, "fpm.sock"))
		return err
	})
	harness.StartNginx(t, fmt.Sprintf(`server {
		listen 127.0.0.1:%d;
		root %s;
		index index.php;
		location / {
			try_files $uri $uri/ /index.php?$args;
		}
		location ~ \.php$ {
			include snippets/fastcgi-php.conf;
			fastcgi_pass unix:%s/fpm.sock;
		}
	}`, s.Port, s.Site, s.Dir), s.Port)
	return &harness.WordPress{Server: s, Admin: s.Browser(), Reader: s.Browser()}
}

// useWordPress installs WordPress and uses it.
func useWordPress(t *testing.T, w *harness.WordPress) {
	t.Helper()
	w.Install()
	// WordPress publishes a post at once if it is due within a minute.
	w.ScheduledPost = w.Post("Later", time.Now().UTC().Add(65*time.Second).Format("2006-01-02T15:04:05"))
	w.Server.Get("/"+w.ScheduledPost+"/").Want(t, 404, "")
	for _, c := range []struct {
		name string
		run  func(*harness.WordPress)
	}{
		{"a pretty address is a page", publishPost},
		{"an uploaded picture comes back, and smaller ones are made", uploadPicture},
		{"a comment appears", comment},
		{"search finds", search},
		{"the heartbeat beats", heartbeat},
		{"WordPress reaches itself", loopback},
		{"a missing page is WordPress's own 404", func(w *harness.WordPress) {
			w.Server.Get("/no-such-page/").WantContains(w.Server.T, 404, "<html", "wp-block")
		}},
		{"a static file is served by the web server", func(w *harness.WordPress) {
			if res := w.Server.Get("/wp-includes/css/dashicons.min.css"); res.StatusCode != 200 || res.Header.Get("Etag") == "" {
				w.Server.T.Errorf("got status %d, headers %v", res.StatusCode, res.Header)
			}
		}},
		{"cron publishes when it is time", cron},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(w.With(t)) })
	}
}

func publishPost(w *harness.WordPress) {
	t := w.Server.T
	if slug := w.Post("Zebrafish by php_pool", ""); slug != "zebrafish-by-php_pool" {
		t.Errorf("got the slug %q", slug)
	}
	w.Reader.Open("/zebrafish-by-php_pool/").MustContain("Ünïcode &#038; Zebrafish", "The Test Blog")
	w.Reader.Open("/feed/").MustContain("Zebrafish by php_pool")
	w.Admin.Open("/wp-admin/edit.php").MustContain("Zebrafish by php_pool")
	// WordPress redirects an address without the final slash.
	if res := w.Server.Get("/zebrafish-by-php_pool"); res.StatusCode != 301 || res.Header.Get("Location") != w.Server.URL+"/zebrafish-by-php_pool/" {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func uploadPicture(w *harness.WordPress) {
	t := w.Server.T
	want := harness.Picture(t)
	made := w.Create("media", "image/png", string(want), `Content-Disposition: attachment; filename="a picture.png"`)
	address, err := url.Parse(fmt.Sprint(made["source_url"]))
	if err != nil {
		t.Fatal(err)
	}
	res := w.Server.Get(address.Path)
	if res.Want(t, 200, string(want)); res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s: got Content-Type %q", address, res.Header.Get("Content-Type"))
	}
	details, _ := json.Marshal(made["media_details"])
	small := regexp.MustCompile(`"source_url":"[^"]*(/wp-content/[^"]*-150x150.png)"`).FindSubmatch(details)
	if small == nil {
		t.Fatalf("WordPress made no small picture: %s", details)
	}
	w.Server.Get(string(small[1])).WantContains(t, 200, "\x89PNG")
}

func comment(w *harness.WordPress) {
	page := w.Admin.Open("/zebrafish-by-php_pool/")
	page.Form("commentform").Set("comment", "A comment on quokkas").Submit().MustContain("A comment on quokkas")
	w.Reader.Open("/zebrafish-by-php_pool/").MustContain("A comment on quokkas")
}

func search(w *harness.WordPress) {
	t := w.Server.T
	w.Reader.Open("/?s=zebrafish").MustContain("Zebrafish by php_pool")
	if body := w.Reader.Open("/?s=nosuchword").Text; strings.Contains(body, "Zebrafish by php_pool") {
		t.Error("search finds a page for a word that no page has")
	}
}

func heartbeat(w *harness.WordPress) {
	t := w.Server.T
	dashboard := w.Admin.Open("/wp-admin/")
	nonce := regexp.MustCompile(`heartbeatSettings = \{"nonce":"(\w+)"`).FindStringSubmatch(dashboard.Text)
	if nonce == nil {
		t.Fatal("the dashboard has no heartbeat")
	}
	body := url.Values{"action": {"heartbeat"}, "_nonce": {nonce[1]}, "screen_id": {"dashboard"}, "has_focus": {"true"}}.Encode()
	req := w.Server.Request("POST", "/wp-admin/admin-ajax.php", strings.NewReader(body), "Content-Type: application/x-www-form-urlencoded")
	w.Admin.Visit(req).MustContain(`"server_time"`)
}

func loopback(w *harness.WordPress) {
	req := w.Server.Request("GET", "/wp-json/wp-site-health/v1/tests/loopback-requests", nil, "X-Wp-Nonce: "+w.Nonce)
	w.Admin.Visit(req).MustContain(`"status":"good"`)
}

func cron(w *harness.WordPress) {
	t := w.Server.T
	harness.Eventually(t, func() error {
		w.Server.Get("/wp-cron.php").Want(t, 200, "")
		if res := w.Server.Get("/" + w.ScheduledPost + "/"); res.StatusCode != 200 {
			return fmt.Errorf("the post is not published: %s", res.Status)
		}
		return nil
	})
}
