//go:build unix

package cgi

import (
	"os"
	"path/filepath"
	"testing"
)

// TestIsPlainDir holds for isPlainDir and for its substitute on other systems.
func TestIsPlainDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.MkdirAll(in("a/b"), 0o755), os.WriteFile(in("file"), nil, 0o644),
		os.Symlink("a", in("link")), os.Symlink("nowhere", in("lost")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, is := range map[string]func(string) bool{"isPlainDir": isPlainDir, "lstatEach": lstatEach} {
		for path, want := range map[string]bool{
			"/": true, dir: true, in("a"): true, in("a/b"): true,
			in("link"): false, in("link/b"): false, in("lost"): false, in("file"): false, in("file/b"): false, in("none"): false,
		} {
			if got := is(path); got != want {
				t.Errorf("%s(%s): got %t, want %t", name, path, got, want)
			}
		}
	}
}
