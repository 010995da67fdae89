//go:build unix

package caddymodule

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Functions of PHP can be redefined since PHP 8.0 only.
func TestWorker_NeedsPHP8(t *testing.T) {
	needPHP(t)
	php, err := exec.LookPath("php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	dir := publicDir(t)
	old := filepath.Join(dir, "php-cgi7.4")
	for path, text := range map[string]string{
		old:                              "#!/bin/sh\n" + php + ` "$@" | sed 's/8\.[0-9]*\.[0-9]*/7.4.33/g'` + "\n",
		filepath.Join(dir, "worker.php"): "<?php while (frankenphp_handle_request(function () {})) {}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	site := "http://127.0.0.1:8080 {\nphp_pool {\nroot " + dir + "\nbinary " + old + "\n"
	got := validate(t, site+"worker worker.php\n}\n}\n")
	want := "worker needs PHP 8.0 or later, and " + old + " is PHP 7.4.33: write binary <version> for a newer one, or remove worker"
	if !strings.Contains(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := validate(t, site+"}\n}\n"); got != "" {
		t.Errorf("without a worker: %s", got)
	}
}
