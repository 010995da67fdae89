package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// eventually polls until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func newLoop(t *testing.T, source string, change ...func(*site)) *site {
	t.Helper()
	s := newSite(t, loop, change...)
	s.write("request.php", source)
	return s
}

// waitFor is PHP that waits until a file exists.
const waitFor = `function wait_for($name) { $end = time() + 20; while (!file_exists(__DIR__ . '/' . $name) && time() < $end) { usleep(2000); clearstatcache(); } }`

// TestRequest_Streams checks that each part of a response arrives before the next is
// written.
func TestRequest_Streams(t *testing.T) {
	for name, write := range map[string]string{
		"flush":          `echo $i; flush();`,
		"buffer":         `ob_start(); echo $i; ob_flush(); flush(); ob_end_clean();`,
		"output buffer":  `echo $i; ob_flush(); flush();`,
		"implicit flush": `ob_implicit_flush(); echo $i; @ob_flush();`,
	} {
		for _, buffering := range []string{"0", "4096"} {
			if buffering == "4096" && (name == "flush" || name == "buffer") {
				continue // PHP's own buffer holds it back
			}
			t.Run(name+" "+buffering, func(t *testing.T) {
				s := newLoop(t, `<?php for ($i = 0; $i < 3; $i++) { `+write+` wait_for("go$i"); }`, func(s *site) { s.ini("output_buffering", buffering) })
				s.write("worker.php", "<?php "+waitFor+" "+strings.TrimPrefix(loop, "<?php"))
				w := s.start().mustLaunch()
				for range 2 {
					r := request{uri: "/"}.fastCGI(s)
					ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
					resp, err := w.conn.RoundTrip(ctx, r)
					if err != nil {
						t.Fatal(err)
					}
					for i := range 3 {
						var b [1]byte
						if _, err := io.ReadFull(resp.Body, b[:]); err != nil || string(b[:]) != fmt.Sprint(i) {
							t.Fatalf("part %d: got %q, %v", i, b, err)
						}
						s.write(fmt.Sprintf("go%d", i), "")
					}
					if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
						t.Errorf("got %q, %v", rest, err)
					}
					resp.Body.Close()
					cancel()
					for i := range 3 {
						os.Remove(filepath.Join(s.dir, fmt.Sprintf("go%d", i)))
					}
				}
			})
		}
	}
}

func TestRequest_Finish(t *testing.T) {
	for _, function := range []string{"fastcgi_finish_request", "frankenphp_finish_request"} {
		s := newLoop(t, `<?php ob_start(); echo 'first'; echo json_encode(`+function+`()); echo json_encode(`+function+`()); wait_for('go'); echo 'not seen'; file_put_contents(__DIR__ . '/after', 'x');`)
		s.write("worker.php", "<?php "+waitFor+" "+strings.TrimPrefix(loop, "<?php"))
		w := s.start().mustLaunch()
		r := request{uri: "/"}.fastCGI(s)
		resp, err := w.conn.RoundTrip(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if string(body) != "first" || err != nil {
			t.Errorf("%s: got %q, %v", function, body, err)
		}
		b := resp.Body.(*fastcgi.Body)
		if !b.Running() || b.TryEnd() || w.conn.Reusable() {
			t.Errorf("%s: the script does not run on", function)
		}
		s.write("go", "")
		b.Close()
		if !exists(filepath.Join(s.dir, "after")) || !w.conn.Reusable() {
			t.Errorf("%s: the script has not ended its request", function)
		}
		os.Remove(filepath.Join(s.dir, "go"))
	}
}

// TestRequest_RunsOnAfterResponse has a script that does more between two requests. Its
// worker is not ready until that is done, and the client does not wait.
func TestRequest_RunsOnAfterResponse(t *testing.T) {
	s := newSite(t, `<?php `+waitFor+` while (frankenphp_handle_request(function () { echo 'x'; })) { error_log('terminating'); wait_for('go'); }`)
	w := s.start().mustLaunch()
	r := request{uri: "/"}.fastCGI(s)
	var stderr strings.Builder
	r.Stderr = &stderr
	resp, err := w.conn.RoundTrip(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "x" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	if b := resp.Body.(*fastcgi.Body); b.TryEnd() || w.conn.Reusable() {
		t.Error("ready while the script terminates")
	}
	s.write("go", "")
	resp.Body.Close()
	if !w.conn.Reusable() {
		t.Error("not ready")
	}
	if got := stderr.String(); got != "terminating\n" {
		t.Errorf("got stderr %q: what is logged before READY belongs to the request", got)
	}
}

// interims collects interim responses.
type interims []string

func (x *interims) HandleInterim(status int, header http.Header) {
	*x = append(*x, fmt.Sprint(status, header["Link"]))
}

func TestRequest_EarlyHints(t *testing.T) {
	s := newLoop(t, `<?php
		header('Link: </s.css>; rel=preload');
		$first = headers_send(103);
		header('Link: </t.css>; rel=preload', false);
		headers_send(103);
		header_remove('Link');
		echo $first, 'Hello';
		echo headers_send(418), headers_send(200);`)
	w := s.start().mustLaunch()
	for range 2 {
		var got interims
		res := w.do(request{uri: "/", interim: &got})
		if want := (interims{"103 [</s.css>; rel=preload]", "103 [</s.css>; rel=preload </t.css>; rel=preload]"}); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if res.status != 418 || res.body != "1Hello10" || res.header["Link"] != nil || res.err != nil {
			t.Errorf("got %+v", res)
		}
	}
}

// TestRequest_ClientLeaves gives a request up. The script learns it, runs on, and the
// worker serves again.
func TestRequest_ClientLeaves(t *testing.T) {
	s := newLoop(t, `<?php
		echo 'first', connection_aborted(), connection_status();
		@ob_flush();
		flush();
		if (isset($_GET['leave'])) {
			for ($end = time() + 20; !connection_aborted() && time() < $end; usleep(1000)) { }
			echo str_repeat('x', 300000);
			file_put_contents(__DIR__ . '/aborted', connection_aborted() . connection_status());
		}`)
	w := s.start().mustLaunch()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		r := request{uri: "/?leave"}.fastCGI(s)
		resp, err := w.conn.RoundTrip(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		resp.Body.Close()
		if w.conn.Reusable() || w.conn.Broken() {
			t.Fatalf("reusable %t, broken %t", w.conn.Reusable(), w.conn.Broken())
		}
		w.conn.Abandon()
		drained, err := w.Drain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if drained.PID() != w.PID() || drained.Conn() != w.conn || !w.conn.Reusable() {
			t.Fatal("the worker did not recover")
		}
		if got, err := os.ReadFile(filepath.Join(s.dir, "aborted")); err != nil || string(got) != "11" {
			t.Errorf("got %q, %v", got, err)
		}
		os.Remove(filepath.Join(s.dir, "aborted"))
		if a := w.get("/"); a.body != "first00" {
			t.Errorf("the next request got %q", a.body)
		}
	}
	// A client that leaves when all has been sent.
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		r := request{uri: "/"}.fastCGI(s)
		resp, err := w.conn.RoundTrip(ctx, r)
		cancel()
		if err == nil {
			resp.Body.Close()
		}
		if !w.conn.Reusable() {
			w.conn.Abandon()
			if _, err := w.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a := w.get("/"); a.body != "first00" {
			t.Fatalf("the next request got %q", a.body)
		}
	}
}

// TestRequest_ClientLeavesAndScriptEnds drains a worker whose script ends meanwhile.
func TestRequest_ClientLeavesAndScriptEnds(t *testing.T) {
	s := newLoop(t, `<?php echo 'x'; @ob_flush(); flush(); while (!isset($_GET['x']) && !connection_aborted()) { usleep(1000); } exit;`)
	w := s.start().mustLaunch()
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := w.conn.RoundTrip(ctx, request{uri: "/"}.fastCGI(s))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	w.conn.Abandon()
	if _, err := w.Drain(t.Context()); err == nil {
		t.Error("Drain returned no error")
	}
	w.waitDone()
	s.mustLaunch().get("/?x")
}

// TestRequest_Query runs a script of php_pool itself, of which the worker script sees
// nothing.
func TestRequest_Query(t *testing.T) {
	s := newSite(t, `<?php
		$n = 0;
		while (frankenphp_handle_request(function () use (&$n) { $n++; echo $n, $_SERVER['PHP_POOL_QUERY'] ?? 'none'; })) { $n += 100; }`)
	s.write("query.php", `<?php header('Content-Type: application/json'); echo json_encode([$_SERVER['REQUEST_METHOD'], isset($n), count(opcache_get_status(false) ?: [])]);`)
	w := s.start().mustLaunch()
	if a := w.get("/"); a.body != "1none" {
		t.Errorf("got %q", a.body)
	}
	for range 3 {
		res := w.do(request{uri: "/", params: map[string]string{"PHP_POOL_QUERY": s.dir + "/query.php"}})
		if !strings.HasPrefix(res.body, `["GET",false,`) || res.header.Get("Content-Type") != "application/json" || !w.conn.Reusable() {
			t.Errorf("got %+v", res)
		}
	}
	if a := w.get("/"); a.body != "102none" {
		t.Errorf("got %q", a.body)
	}
}

func TestRequest_Activity(t *testing.T) {
	s := newSite(t, `<?php
		function deep() { touch(__DIR__ . '/sleeping'); sleep(1000); }
		while (frankenphp_handle_request(function () { deep(); })) {}`)
	w := s.start().mustLaunch()
	done := make(chan result, 1)
	go func() { done <- w.do(request{uri: "/"}) }()
	eventually(t, "the script sleeps", func() bool { return exists(s.dir + "/sleeping") })
	want := []string{"sleep", "deep " + s.script.Filename + ":2", "{closure", "frankenphp_handle_request", "{main}"}
	var a pool.Activity
	eventually(t, "a stable backtrace", func() bool {
		var err error
		a, err = w.Activity(20)
		return err == nil && len(a.Backtrace) > 0 && a.Backtrace[0] == "sleep"
	})
	if len(a.Backtrace) != len(want) {
		t.Errorf("got %q, want %q", a.Backtrace, want)
	}
	for i := range min(len(want), len(a.Backtrace)) {
		if !strings.HasPrefix(a.Backtrace[i], want[i]) {
			t.Errorf("got %q, want %q", a.Backtrace, want)
		}
	}
	if a.BlockedOn == "" {
		t.Error("got no system call")
	}
	w.Kill()
	<-done
}
