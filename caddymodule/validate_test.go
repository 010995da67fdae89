package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// validate does what `caddy validate` does with a Caddyfile: it adapts and
// provisions it, and starts nothing. It returns "" or the error.
func validate(t *testing.T, caddyfile string) string {
	t.Helper()
	needPHP(t)
	text := adapt(t, caddyfile)
	if err, ok := strings.CutPrefix(text, "error: "); ok {
		return strings.TrimSpace(err)
	}
	return validateJSON(t, text)
}

// validateJSON is validate for Caddy's JSON.
func validateJSON(t *testing.T, text string) string {
	t.Helper()
	config := new(caddy.Config)
	if err := json.Unmarshal([]byte(text), config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(config); err != nil {
		return err.Error()
	}
	return ""
}
