package cgi

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestSymlinkCache_Invalidation moves a symlink and its target in every way that
// keeps the path.
func TestSymlinkCache_Invalidation(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symlinks need a privilege on Windows, and the cache keeps none there")
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
	var c symlinkCache
	want := func(link, target string) {
		t.Helper()
		for range 2 { // the second time from the cache
			if got, err := c.resolve(in(link)); got != in(target) || err != nil {
				t.Fatalf("%s: got %s, %v; want %s", link, got, err, in(target))
			}
		}
	}
	do(os.MkdirAll(in("a/site"), 0o755), os.MkdirAll(in("b/site"), 0o755))
	do(os.Symlink("a", in("current")))
	want("current/site", "a/site")
	want("a/site", "a/site")

	do(os.Remove(in("current")), os.Symlink("b", in("current"))) // the symlink moves
	want("current/site", "b/site")

	do(os.Rename(in("b"), in("old")), os.MkdirAll(in("b/site"), 0o755)) // its target is replaced
	want("current/site", "b/site")

	do(os.Remove(in("current")), os.Symlink("old", in("current"))) // the same directory by another name
	want("current/site", "old/site")

	do(os.Rename(in("old"), in("older")), os.Remove(in("current")), os.Symlink("older", in("current")))
	want("current/site", "older/site") // with the inode that is in the cache

	do(os.Rename(in("a"), in("a.bak")), os.Symlink("b", in("a"))) // a directory becomes a symlink
	want("a/site", "b/site")

	want("a.bak/site", "a.bak/site")
	do(os.Rename(in("a.bak"), in("c")), os.Symlink("c", in("a.bak"))) // a symlink to the renamed directory
	want("a.bak/site", "c/site")

	do(os.MkdirAll(in("v1/site"), 0o755), os.Symlink("v1", in("now")))
	want("now/site", "v1/site")
	do(os.Rename(in("v1"), in("v2")), os.Symlink("v2", in("v1"))) // its target becomes a symlink to the same directory
	want("now/site", "v2/site")

	do(os.Remove(in("current")))
	if got, err := c.resolve(in("current/site")); !os.IsNotExist(err) {
		t.Errorf("a removed symlink: got %s, %v", got, err)
	}
}

// TestSymlinkCache_Random makes random changes to a small tree. After each one the
// cache must give what a fresh look gives.
func TestSymlinkCache_Random(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symlinks need a privilege on Windows, and the cache keeps none there")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	seed := time.Now().UnixNano()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	names := []string{"a", "b", "c", "d"}
	name := func() string { return names[random.IntN(len(names))] }
	path := func() string {
		p := filepath.Join(dir, name())
		for random.IntN(3) > 0 {
			p = filepath.Join(p, name())
		}
		return p
	}
	var c symlinkCache
	found := 0
	for i := range 500 {
		// Most of these fail, which does not matter.
		switch p := path(); random.IntN(6) {
		case 0, 1:
			os.MkdirAll(p, 0o755)
		case 2:
			os.Rename(p, path())
		case 3:
			os.Symlink(name(), p)
		case 4:
			os.Symlink(path(), p)
		case 5:
			if random.IntN(2) == 0 {
				os.RemoveAll(p)
			} else {
				os.WriteFile(p, nil, 0o644)
			}
		}
		for range 4 {
			p := path()
			want, wantErr := filepath.EvalSymlinks(p)
			got, err := c.resolve(p)
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("change %d: %s: got %s, %v; want %s, %v", i, p, got, err, want, wantErr)
			}
			if err == nil {
				found++
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d paths could be resolved", found)
	}
}

func TestSymlinkCache_Limit(t *testing.T) {
	dir := t.TempDir()
	var c symlinkCache
	for i := range maxCachedRoots + 10 {
		site := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(site, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := c.resolve(site); err != nil {
			t.Fatal(err)
		}
		if n := len(*c.entries.Load()); n > maxCachedRoots {
			t.Fatalf("got %d entries, want at most %d", n, maxCachedRoots)
		}
	}
}
