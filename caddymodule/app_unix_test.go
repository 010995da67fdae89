//go:build unix

package caddymodule

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFindCached_OncePerConfig removes php-cgi between two pools of a config: the
// second pool gets the cached path, and the next config finds nothing.
func TestFindCached_OncePerConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "php-cgi9.9")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	config := &App{located: map[string]string{}}
	for range 2 {
		if got, err := config.findCached("php-cgi9.9"); got != path || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, path)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	other := &App{located: map[string]string{}}
	if got, err := other.findCached("php-cgi9.9"); err == nil {
		t.Errorf("next config: got %q, want an error: the file was removed", got)
	}
}
