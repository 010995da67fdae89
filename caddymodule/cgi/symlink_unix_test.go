//go:build unix

package cgi

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIsPlainDir holds for isPlainDir and for its substitute on other systems. Neither may
// open anything: a pipe would block or wake its reader.
func TestIsPlainDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.MkdirAll(in("a/b"), 0o755), os.WriteFile(in("file"), nil, 0o644),
		os.Symlink("a", in("link")), os.Symlink("nowhere", in("lost")),
		os.Mkdir(in("closed"), 0o555), os.Mkdir(in("secret"), 0), unix.Mkfifo(in("pipe"), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, is := range map[string]func(string) bool{"isPlainDir": isPlainDir, "lstatEach": lstatEach} {
		for path, want := range map[string]bool{
			"/": true, dir: true, in("a"): true, in("a/b"): true, in("closed"): true, in("secret"): true,
			in("link"): false, in("link/b"): false, in("lost"): false, in("file"): false, in("file/b"): false, in("none"): false,
			in("pipe"): false, in("pipe/b"): false,
		} {
			if got := is(path); got != want {
				t.Errorf("%s(%s): got %t, want %t", name, path, got, want)
			}
		}
	}
}
