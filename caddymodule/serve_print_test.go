package caddymodule

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/mevdschee/caddy-php-pool/caddymodule/serve"
)

// Each combination of flags makes a Caddyfile that Caddy accepts, formatted as it wants it.
func TestServe_PrintIsValid(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"index.php": "<?php", "b.php": "<?php", ".env": "APP_ENV=dev\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := []string{"--print DIR"}
	for _, choices := range [][]string{
		{"", "-d app.localhost", "-d example.com"},
		{"", "-l :8000", "-l [::1]:8443"},
		{"", "-w DIR/index.php,2", "-w DIR/index.php --watch", "-w DIR/index.php -w DIR/b.php --watch=DIR/**/*.php --watch"},
		{"", "--production"},
		{"", "--php 8.3"},
		{"", "-a -v --no-compress"},
		{"", "--envfile DIR/.env"},
	} {
		var next []string
		for _, line := range lines {
			for _, flags := range choices {
				next = append(next, line+" "+flags)
			}
		}
		lines = next
	}
	for _, line := range lines {
		cmd := serve.Command()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(strings.Fields(strings.ReplaceAll(line, "DIR", dir)))
		if err := cmd.Execute(); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(out.Bytes(), map[string]any{"filename": "Caddyfile"})
		if err != nil || len(warnings) > 0 || !json.Valid(config) {
			t.Errorf("%s: got %v, warnings %v for\n%s", line, err, warnings, &out)
		}
		if got := strings.Contains(string(config), `"process_env":{"APP_ENV":"{env.APP_ENV}"}`); got != strings.Contains(line, "--envfile") {
			t.Errorf("%s: process_env is %v in\n%s", line, got, &out)
		}
	}
}
