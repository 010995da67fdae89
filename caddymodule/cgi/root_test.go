package cgi

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestLinksAreFollowedToWhereTheyLeadNow moves a link and what it leads to in
// every way that leaves the path the same.
func TestLinksAreFollowedToWhereTheyLeadNow(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making symlinks takes a privilege there, and nothing is remembered")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	do := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var l symlinkCache
	want := func(link, target string) {
		t.Helper()
		for range 2 { // the second time it is known
			if got, err := l.resolve(in(link)); got != in(target) || err != nil {
				t.Fatalf("%s: got %s, %v; want %s", link, got, err, in(target))
			}
		}
	}
	do(os.MkdirAll(in("a/site"), 0o755), os.MkdirAll(in("b/site"), 0o755))
	do(os.Symlink("a", in("current")))
	want("current/site", "a/site")
	want("a/site", "a/site")

	do(os.Remove(in("current")), os.Symlink("b", in("current"))) // the link moves
	want("current/site", "b/site")

	do(os.Rename(in("b"), in("old")), os.MkdirAll(in("b/site"), 0o755)) // what it leads to is replaced
	want("current/site", "b/site")

	do(os.Remove(in("current")), os.Symlink("old", in("current"))) // the same directory by another name
	want("current/site", "old/site")

	do(os.Rename(in("old"), in("older")), os.Remove(in("current")), os.Symlink("older", in("current")))
	want("current/site", "older/site") // it still has the inode that is known

	do(os.Rename(in("a"), in("a.bak")), os.Symlink("b", in("a"))) // a directory becomes a link
	want("a/site", "b/site")

	want("a.bak/site", "a.bak/site")
	do(os.Rename(in("a.bak"), in("c")), os.Symlink("c", in("a.bak"))) // a link to what it was
	want("a.bak/site", "c/site")

	do(os.Remove(in("current")))
	if got, err := l.resolve(in("current/site")); !os.IsNotExist(err) {
		t.Errorf("a link that is gone: got %s, %v", got, err)
	}
}

func TestLinksRememberNoMoreThanSoMany(t *testing.T) {
	dir := t.TempDir()
	var l symlinkCache
	for i := range maxCachedRoots + 10 {
		site := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(site, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := l.resolve(site); err != nil {
			t.Fatal(err)
		}
		if n := len(*l.entries.Load()); n > maxCachedRoots {
			t.Fatalf("%d are remembered", n)
		}
	}
}
