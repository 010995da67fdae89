//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// observedSite has an access log, and shows placeholders in headers.
func observedSite(b harness.Backend) string {
	down := ""
	if b.Proxy {
		down = "header_down X-Down {http.php_pool.pid}"
	}
	return `
		http://127.0.0.1:{$PORT} {
			log
			root {$SITE}
			header >X-Worker "{http.php_pool.worker} {http.php_pool.pid} {http.php_pool.generation} {http.php_pool.script}"
			header >X-Times "{http.php_pool.queue_seconds} {http.php_pool.time_to_first_byte_seconds}"
			php_pool {
				name main
				manager static
				workers 1
				max_queue 0
				quarantine off
				` + strings.Join(b.Lines, "\n") + "\n" + down + `
			}
			file_server
		}
	`
}

// waitAccessLog waits for the access log entry of a path. Its field php_pool is nil if
// PHP did not serve the request.
func waitAccessLog(s *harness.Server, path string) (entry, php map[string]any) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		for _, entry = range s.Logged("handled request") {
			if request, _ := entry["request"].(map[string]any); request["uri"] == path {
				php, _ = entry["php_pool"].(map[string]any)
				return nil
			}
		}
		return errors.New("there is no entry for " + path)
	})
	return entry, php
}

func TestAccessLog_Placeholders(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, observedSite(b))
		res := s.Get("/pid.php?who")
		w := s.Pool().List[0]
		if got, want := res.Header.Get("X-Worker"), fmt.Sprintf("%d %s 1 %s/pid.php", w.ID, res.Text, s.Site); got != want {
			t.Errorf("got header %q, want %q", got, want)
		}
		if b.Proxy && res.Header.Get("X-Down") != res.Text {
			t.Errorf("header_down gave %q, want %s", res.Header.Get("X-Down"), res.Text)
		}
		_, php := waitAccessLog(s, "/pid.php?who")
		pid, _ := strconv.ParseFloat(res.Text, 64)
		for name, want := range map[string]any{
			"pool": "main", "worker": float64(w.ID), "pid": pid, "generation": 1.0, "script": s.Site + "/pid.php",
		} {
			if php[name] != want {
				t.Errorf("the log has %s %v, want %v", name, php[name], want)
			}
		}
		queue, ttfb, _ := strings.Cut(res.Header.Get("X-Times"), " ")
		for name, text := range map[string]string{"queue_seconds": queue, "time_to_first_byte_seconds": ttfb} {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || seconds <= 0 || seconds > 10 || php[name] != seconds {
				t.Errorf("%s: the header has %q, the log %v", name, text, php[name])
			}
		}

		static := s.Get("/page.html")
		if got := static.Header.Get("X-Worker"); got != "   " && got != "" {
			t.Errorf("a static page has header %q", got)
		}
		if entry, php := waitAccessLog(s, "/page.html"); php != nil {
			t.Errorf("a static page was logged as %v", entry)
		}

		h := s.Hold("busy")
		h.Add("")
		h.WaitRunning(1)
		wantRejected(t, s.Get("/hello.php?refused"), "connection_limit_reached")
		h.Release()
		h.Want(0, 200)
		if _, php := waitAccessLog(s, "/hello.php?refused"); fmt.Sprint(php) != fmt.Sprintf("map[pool:main script:%s/hello.php]", s.Site) {
			t.Errorf("a rejected request was logged as %v", php)
		}
	})
}

// TestTracing lets Caddy's tracing write its spans to the log.
func TestTracing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, strings.Replace(harness.PoolSite(b, "manager static", "workers 1"), "root {$SITE}", "root {$SITE}\ntracing {\nspan site\n}", 1),
			harness.Options{Env: []string{"OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10"}})
		const id, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		vars := s.Vars("/server.php", "Traceparent: 00-"+id+"-"+caller+"-01", "Tracestate: vendor=1")
		spans := map[string]map[string]any{}
		harness.Eventually(t, func() error {
			for _, entry := range s.LogEntries() {
				if name, ok := entry["Name"].(string); ok {
					spans[name] = entry
				}
			}
			if spans["php"] == nil || spans["site"] == nil {
				return fmt.Errorf("got spans %v", spans)
			}
			return nil
		})
		of := func(span, context, key string) any {
			ids, _ := spans[span][context].(map[string]any)
			return ids[key]
		}
		if of("php", "Parent", "SpanID") != of("site", "SpanContext", "SpanID") || of("site", "Parent", "SpanID") != caller ||
			of("php", "SpanContext", "TraceID") != id {
			t.Errorf("got spans %v", spans)
		}
		if got, want := vars["HTTP_TRACEPARENT"], fmt.Sprintf("00-%s-%s-01", id, of("php", "SpanContext", "SpanID")); got != want {
			t.Errorf("PHP got the trace parent %v, want %v", got, want)
		}
		if vars["HTTP_TRACESTATE"] != "vendor=1" {
			t.Errorf("got HTTP_TRACESTATE %q", vars["HTTP_TRACESTATE"])
		}
		if w := s.Pool().List[0]; !strings.Contains(fmt.Sprint(spans["php"]["Attributes"]), fmt.Sprintf("process.pid Value:map[Type:INT64 Value:%d]", w.PID)) {
			t.Errorf("got attributes %v, want those of %+v", spans["php"]["Attributes"], w)
		}
	})
}
