//go:build linux

package e2e

import (
	"fmt"
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
