package poolcfg

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestConfine_PrivilegedMailer finds the setuid or setgid program that mail() needs.
func TestConfine_PrivilegedMailer(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no setuid programs")
	}
	dir := t.TempDir()
	program := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, setgid := program("plain/sendmail", 0o755), program("exim/exim4", 0o755|os.ModeSetuid)
	postfix, postdrop := program("postfix/sendmail", 0o755), program("postfix/postdrop", 0o755|os.ModeSetgid)
	link := filepath.Join(dir, "exim", "sendmail")
	if err := os.Symlink("exim4", link); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "postfix")
	for command, want := range map[string]string{
		"":                                 "",
		filepath.Join(dir, "gone") + " -t": "",
		setgid + " -t -i":                  setgid,
		link + " -t -i":                    setgid,
		plain + " -t -i":                   "",
		postfix + " -t -i":                 postdrop,
		"sendmail -t -i":                   postdrop,
	} {
		if got := privilegedMailer(command, path); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}
