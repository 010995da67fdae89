package pool

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// TestFinish checks that a script that has completed its response keeps its worker
// busy, and that the limits of a request do not count for it any more.
func TestFinish(t *testing.T) {
	s := static(1)
	s.RequestTimeout, s.SlowRequest = 10*time.Second, 5*time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{
				fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stderr("mark finish 1;\n"),
				fastcgitest.Sleep(time.Minute), fastcgitest.End(),
			}
		}
		req := fastcgi.NewRequest()
		defer req.Free()
		req.SignalMark = "mark"
		r := &Request{FastCGI: req, Info: Info{Method: "GET", Script: "/a.php"}}
		resp, err := tt.Do(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		body := resp.HTTP.Body.(*fastcgi.Body)
		if content, err := io.ReadAll(body); string(content) != "hello" || err != nil || !body.Running() {
			t.Fatalf("got %q, %v, running %t", content, err, body.Running())
		}
		resp.Finish()
		start := time.Now()
		go resp.Close()
		time.Sleep(30 * time.Second)
		if w := tt.Workers()[0]; w.State != Busy || w.StateName() != "finishing" || w.Request.Script != "/a.php" {
			t.Errorf("after 30 s: got %v, %s, %+v", w.State, w.StateName(), w.Request)
		}
		time.Sleep(time.Minute)
		stats, w := tt.Snapshot()
		if w[0].State != Idle || w[0].Requests != 1 || len(stats.Exits) != 0 || stats.Requests.Slow != 0 || stats.Requests.TimedOut != 0 {
			t.Errorf("after %v: got %v, %d requests, exits %v, %+v", time.Since(start), w[0].State, w[0].Requests, stats.Exits, stats.Requests)
		}
	})
}

// TestFinish_AfterTimeout checks that a shutdown function that completes the response
// does not save a script that has exceeded its timeout.
func TestFinish_AfterTimeout(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{
				fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Sleep(time.Second), untilSoft(tt.proc(0)), fastcgitest.Stderr("mark finish 1;\n"),
				fastcgitest.Sleep(time.Minute), fastcgitest.End(),
			}
		}
		req := fastcgi.NewRequest()
		defer req.Free()
		req.SignalMark = "mark"
		resp, err := tt.Do(context.Background(), &Request{FastCGI: req, Info: Info{Method: "GET", Script: "/a.php"}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = io.ReadAll(resp.HTTP.Body)
		resp.Finish()
		if !resp.TimedOut() {
			t.Error("the request has not timed out")
		}
		resp.Close()
		if elapsed := time.Since(start).Round(time.Second); elapsed != 10*time.Second+killDelay {
			t.Errorf("took %v, want 12s", elapsed)
		}
		tt.settle()
		if got := tt.Stats().Exits[RequestTimeout]; got != 1 {
			t.Errorf("exits: got %v, want one by request_timeout", tt.Stats().Exits)
		}
		time.Sleep(time.Minute) // until the script has ended
	})
}
