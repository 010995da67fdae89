package caddymodule

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain keeps the tests from Caddy's data directory of the user who runs them.
func TestMain(m *testing.M) {
	if err := os.Setenv("XDG_DATA_HOME", filepath.Join(os.TempDir(), "php_pool-no-data")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
