//go:build linux

package webservers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestLimits_FullQueue has the only worker run a script and another request wait for it.
// One more gets a page with status 503, which the web server passes on.
func TestLimits_FullQueue(t *testing.T) {
	t.Parallel()
	site := streamSite(t)
	nginxFront, haproxyFront := frontNamed(t, "nginx-kept"), frontNamed(t, "haproxy-kept")
	r := startRig(t, setup{site: site, fronts: []front{nginxFront, haproxyFront}, pool: "workers 1\nmax_queue 1"})
	first := startStream(t, r, nginxFront, r.listener, "events.php")
	first.readUntil("data: first")
	queued := startStream(t, r, haproxyFront, r.listener, "events.php")
	harness.Eventually(t, func() error {
		if n := r.PoolNamed("www").Queue.Length; n != 1 {
			return fmt.Errorf("%d requests wait", n)
		}
		return nil
	})
	for _, f := range []front{nginxFront, haproxyFront} {
		got := send(r.port(f, r.listener), &request{method: "GET", target: "/hello.php"})
		if !strings.Contains(got["head"], " 503 ") || got["ended"] != "whole" {
			t.Errorf("%s: got %q with %q (%s), want 503", f.name, got["head"], got["body"], got["ended"])
		}
	}
	first.release()
	first.readUntil("data: second")
	queued.readUntil("data: first")
	queued.release()
	queued.readUntil("data: second")
}

// TestLimits_SlowUploads sends bodies piece by piece through a web server that passes
// them on at once. With php-fpm PHP has the first piece before the next one is sent.
// With the listener no worker waits for them.
func TestLimits_SlowUploads(t *testing.T) {
	t.Parallel()
	site := streamSite(t)
	f := frontNamed(t, "nginx-stream")
	r := startRig(t, setup{site: site, fronts: []front{f}, fpm: true, pool: "workers 1"})
	// PHP reads a body by 16 KiB, and that of a POST request before it runs the script.
	piece := "first" + strings.Repeat(".", 40_000)
	start := func(b backend, name string) *streamed {
		return startStream(t, r, f, b, "upload.php", func(q *request) {
			q.method, q.target, q.fields = "PUT", q.target+name, []string{"Content-Type: text/plain"}
			q.body, q.cut = piece+" second", len(piece)
		})
	}
	s := start(r.fpm, "")
	if got := s.note(); got != "got first" {
		t.Errorf("php-fpm: the script says %q", got)
	}
	s.write(" second")
	s.readUntil("second")

	var uploads []*streamed
	for i := range 3 {
		uploads = append(uploads, start(r.listener, fmt.Sprint(i)))
	}
	if got := send(r.port(f, r.listener), &request{method: "GET", target: "/hello.php"}); got["body"] != "hello" {
		t.Errorf("during the uploads: got %q with %q", got["head"], got["body"])
	}
	for _, s := range uploads {
		s.write(" second")
		s.readUntil("second")
	}
}

// TestLimits_Connections opens more connections than max_connections allows. The one
// that has been idle for the longest time is closed; a web server does not notice.
func TestLimits_Connections(t *testing.T) {
	t.Parallel()
	site := helloSite(t)
	f := frontNamed(t, "nginx-kept")
	r := startRig(t, setup{site: site, fronts: []front{f}, listener: "max_connections 2"})
	first, second := connect(t, r.listener.unix), connect(t, r.listener.unix)
	for _, c := range []*client{first, second} {
		if got := c.roundTrip(get(site, "/hello.php")); got.body() != "hello" {
			t.Fatalf("got %q, error %v", got.stdout, got.err)
		}
	}
	wantHello(t, site, r.listener.unix)
	if !first.closed() {
		t.Error("the connection that was idle for the longest time is open")
	}
	l := startLoad(t, r.port(f, r.listener), 2, "GET", "/hello.php", "hello")
	l.wait(100)
	l.wantNoFailures()
}
