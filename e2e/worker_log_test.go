//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestWorker_FrankenPHPLog checks that frankenphp_log() logs at its level, with the keys of
// the context as fields, and with the request.
func TestWorker_FrankenPHPLog(t *testing.T) {
	t.Parallel()
	const script = `<?php
		frankenphp_log('at the start', FRANKENPHP_LOG_LEVEL_ERROR, ['a' => 1]);
		while (frankenphp_handle_request(function () {
			frankenphp_log('nothing more');
			frankenphp_log(message: "Memory usage high;\nü", level: FRANKENPHP_LOG_LEVEL_WARN, context: ['usage' => 10, 'pool' => 'mine', 'nested' => ['list' => [1, 'x/y'], 'none' => null]]);
			frankenphp_log('failed', FRANKENPHP_LOG_LEVEL_ERROR, ['list', 'of two']);
			frankenphp_log('fatal', 100);
			frankenphp_log('detail', FRANKENPHP_LOG_LEVEL_DEBUG);
			frankenphp_log('between', 3);
			frankenphp_log(str_repeat('long', 30000));
			echo 'done';
			fastcgi_finish_request();
			frankenphp_log('after the response', 8, ['b' => 2]);
		})) {}`
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 1"), map[string]string{"index.php": script}, harness.Options{Global: "\tlog {\n\t\tlevel DEBUG\n\t}\n"})
		s.Get("/page").Want(t, 200, "done")
		for message, want := range map[string]string{
			"nothing more":          `info main <nil> <nil> <nil> /index.php`,
			"Memory usage high;\nü": `warn mine 10 map[list:[1 x/y] none:<nil>] <nil> /index.php`,
			"failed":                `error main <nil> <nil> list /index.php`,
			"fatal":                 `error main <nil> <nil> <nil> /index.php`,
			"detail":                `debug main <nil> <nil> <nil> /index.php`,
			"between":               `info main <nil> <nil> <nil> /index.php`,
		} {
			e := s.WaitLogged(message, 1)
			request, _ := e["request"].(map[string]any)
			if got := fmt.Sprint(e["level"], " ", e["pool"], " ", e["usage"], " ", e["nested"], " ", e["0"], " ", request["uri"]); got != want {
				t.Errorf("%s: got %s, want %s", message, got, want)
			}
		}
		for _, text := range []string{`at the start {\"a\":1}`, `after the response {\"b\":2}`, "longlong"} {
			harness.Eventually(t, func() error {
				if !s.HasLogged(text) {
					return fmt.Errorf("%s is not in the log", text)
				}
				return nil
			})
		}
	})
}

// TestWorker_ErrorLog checks that what PHP logs in a request is in Caddy's log with that
// request and no other, as soon as the response is complete.
func TestWorker_ErrorLog(t *testing.T) {
	t.Parallel()
	const script = `<?php
		while (frankenphp_handle_request(function () {
			error_log('message of ' . $_GET['n']);
			echo "response $_GET[n]";
			trigger_error("warning of $_GET[n]", E_USER_WARNING);
			if (isset($_GET['throw'])) { throw new Exception("exception of $_GET[n]"); }
			if (isset($_GET['exit'])) { exit; }
		})) {}`
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, strings.Replace(workerSiteWith(b, []string{"ini display_errors 0"}, "num 3"), "root {$SITE}", "root {$SITE}\nlog", 1), map[string]string{"index.php": script})
		const clients, each = 3, 12
		late := 0.0
		ends := []string{"", "&throw", "&exit"}
		uri := func(n int) string { return fmt.Sprintf("/page?n=%d%s", n, ends[n%len(ends)]) }
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				client := harness.NewClient(t)
				for i := range each {
					res, err := client.Get(s.URL + uri(c*each+i))
					if err != nil {
						t.Error(err)
						return
					}
					harness.Discard(t, res.Body)
					res.Body.Close()
				}
			})
		}
		all.Wait()
		// Nothing else has to happen: no request, no end of a script.
		for n := range clients * each {
			want := []string{fmt.Sprintf("message of %d\n", n), fmt.Sprintf("warning of %d in ", n)}
			if n%len(ends) == 1 {
				want = append(want, fmt.Sprintf("exception of %d in ", n))
			}
			access, _ := waitAccessLog(s, uri(n))
			var logged []map[string]any
			harness.Eventually(t, func() error {
				logged = slices.DeleteFunc(s.Logged("stderr"), func(e map[string]any) bool {
					request, _ := e["request"].(map[string]any)
					return request["uri"] != strings.Replace(uri(n), "/page", "/index.php", 1)
				})
				if len(logged) != 1 {
					return fmt.Errorf("%d entries of request %d", len(logged), n)
				}
				return nil
			})
			text := fmt.Sprint(logged[0]["stderr"], "\n")
			for _, part := range want {
				if strings.Count(text, part) != 1 {
					t.Errorf("request %d: got %q, want %q once", n, text, part)
				}
			}
			if strings.Count(text, " of ") != len(want) {
				t.Errorf("request %d: got %q, want no more than %q", n, text, want)
			}
			late = max(late, logged[0]["ts"].(float64)-access["ts"].(float64))
		}
		t.Logf("logged at most %.3f s after the access log entry", late)
	})
}
