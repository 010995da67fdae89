package cgi

import (
	"os"
	"path/filepath"
	"testing"
)

// A request whose root was resolved before a symlink was switched still names the script of
// the worker.
func TestWorkerScript_SameInRoot(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("symlinks need a privilege on Windows")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return filepath.Join(dir, path) }
	for _, release := range []string{"1", "2"} {
		if err := os.Mkdir(at(release), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := at("current")
	if err := os.Symlink("2", link); err != nil {
		t.Fatal(err)
	}
	before := State{rootSource: rootSource{path: link}, root: at("1")} // the link led to 1
	for _, c := range []struct {
		file, script string
		want         bool
	}{
		{"current/index.php", "1/index.php", true},
		{"current/index.php", "2/index.php", true},
		{"current/index.php", "1/other.php", false},
		{"current/index.php", "1/admin/index.php", false},
		{"1/index.php", "1/index.php", true},
		{"1/index.php", "2/index.php", false},
	} {
		if got := before.SameInRoot(at(c.file), at(c.script)); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.file, c.script, got, c.want)
		}
	}
	if none := (&State{}); none.SameInRoot(at("current/index.php"), at("1/index.php")) {
		t.Error("the same without a root")
	}
}
