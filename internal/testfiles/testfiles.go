// Package testfiles makes directories of files for tests.
package testfiles

import (
	"os"
	"path/filepath"
	"testing"
)

// Write writes the named files, with slashes in their names, below a new
// temporary directory and returns that directory with its symlinks resolved.
func Write(tb testing.TB, files ...string) string {
	tb.Helper()
	root, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("<?php"), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}
