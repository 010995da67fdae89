//go:build unix

package opcache

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func setTempDir(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("TMPDIR", dir)
}

func TestHelper_FileModes(t *testing.T) {
	setTempDir(t, t.TempDir())
	for _, umask := range []int{0, 0o077} {
		defer syscall.Umask(syscall.Umask(umask))
		h := new(helper)
		path, err := h.acquire()
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(path)
		for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o711, path: 0o644, filepath.Join(dir, ".user.ini"): 0o644} {
			if info, err := os.Lstat(path); err != nil || info.Mode() != want {
				t.Errorf("umask %#o, %s: got %v, %v; want %v", umask, path, info.Mode(), err, want)
			}
		}
		h.release()
	}
}

func TestHelper_Symlink(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	setTempDir(t, temp)
	h := new(helper)
	path, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	h.release()
	if err := os.Symlink(elsewhere, filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if path, err = h.acquire(); err != nil {
		t.Fatal(err)
	}
	h.release()
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v in the target of the link, want nothing", left, err)
	}
	if _, err := os.Lstat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("helper directory: got %v, want it removed", err)
	}
}

func TestHelper_StickyBit(t *testing.T) {
	temp := t.TempDir()
	setTempDir(t, temp)
	for mode, ok := range map[os.FileMode]bool{0o777: false, 0o777 | os.ModeSticky: true, 0o755: true} {
		if err := os.Chmod(temp, mode); err != nil {
			t.Fatal(err)
		}
		h := new(helper)
		_, err := h.acquire()
		if (err == nil) != ok {
			t.Errorf("mode %v: got error %v, want error %t", mode, err, !ok)
		}
		if err == nil {
			h.release()
		}
	}
}
