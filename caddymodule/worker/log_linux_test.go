package worker_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRequest_Log checks that messages belong to the request that runs. What
// frankenphp_log() sends over the connection of the request arrives at once.
func TestRequest_Log(t *testing.T) {
	s := newSite(t, `<?php
		error_log('booting');
		echo 'boot output';
		$n = 0;
		while (frankenphp_handle_request(function () use (&$n) { $n++; error_log("request $n"); echo $undefined; error_log("two\nlines"); frankenphp_log('text', FRANKENPHP_LOG_LEVEL_WARN, ['a' => 1, 'b' => '/ü']); })) {}
		error_log('cleaning up');`).start()
	w := s.mustLaunch()
	for i := 1; i <= 20; i++ {
		want := fmt.Sprintf("text {\"a\":1,\"b\":\"/ü\"}\nrequest %d\nPHP Warning:  Undefined variable $undefined in %s on line 5\ntwo\nlines\n", i, s.script.Filename)
		if a := w.get("/"); a.stderr != want {
			t.Errorf("got %q, want %q", a.stderr, want)
		}
	}
	w.stop()
	want := []string{"booting", "the worker script has written before its first request: boot output", "cleaning up"}
	if got := s.logged(); !slices.Equal(got, want) {
		t.Errorf("got output %q, want %q", got, want)
	}
}

// TestRequest_LogOfUser leaves PHP's error log where the user wants it.
func TestRequest_LogOfUser(t *testing.T) {
	s := newLoop(t, `<?php error_log('to the file'); echo ini_get('error_log');`, func(s *site) { s.ini("error_log", s.dir+"/log") })
	w := s.start().mustLaunch()
	if a := w.get("/"); a.stderr != "" || a.body != s.dir+"/log" {
		t.Errorf("got %+v", a)
	}
	if text, err := os.ReadFile(s.dir + "/log"); err != nil || !strings.HasSuffix(string(text), "] to the file\n") {
		t.Errorf("got %q, %v", text, err)
	}
}
