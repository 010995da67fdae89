package phpbin_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// writeProgram writes an executable shell script.
func writeProgram(t *testing.T, path, script string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func echoVersion(version string) string {
	return "echo 'PHP " + version + " (cgi-fcgi) (built: today)'"
}

// TestFind names versions that no PHP of this machine has.
func TestFind(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	t.Setenv("PATH", one+":"+two+":relative")
	writeProgram(t, filepath.Join(one, "php-cgi1.4"), echoVersion("1.4.33"))
	writeProgram(t, filepath.Join(one, "php-cgi1.1"), echoVersion("1.1.2"))
	writeProgram(t, filepath.Join(two, "php13-cgi"), echoVersion("1.3.9"))
	writeProgram(t, filepath.Join(two, "php-cgi"), echoVersion("6.6.6"))
	writeProgram(t, filepath.Join(two, "php"), "echo 'PHP 8.3.9 (cli) (built: today)'")
	writeProgram(t, filepath.Join(one, "mine"), echoVersion("6.5.4"))
	if err := os.WriteFile(filepath.Join(one, "php-cgi9.9"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"":                               filepath.Join(two, "php-cgi"),
		"1.3":                            filepath.Join(two, "php13-cgi"),
		"1.1":                            filepath.Join(one, "php-cgi1.1"),
		"1.3.9":                          filepath.Join(two, "php13-cgi"),
		"1":                              filepath.Join(one, "php-cgi1.4"),
		"6.6":                            filepath.Join(two, "php-cgi"),
		"mine":                           filepath.Join(one, "mine"),
		filepath.Join(one, "php-cgi1.1"): filepath.Join(one, "php-cgi1.1"),
	}
	for spec, want := range tests {
		if got, err := phpbin.Find(spec); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", spec, got, err, want)
		}
	}
	for _, spec := range []string{"9.9", "1.3.8", "absent", "/absent/php-cgi", filepath.Join(one, "php-cgi9.9")} {
		if got, err := phpbin.Find(spec); err == nil {
			t.Errorf("%q: got %q, want an error", spec, got)
		}
	}
	if got := phpbin.Candidates(); len(got) < 4 || got[0] != filepath.Join(two, "php-cgi") {
		t.Errorf("Candidates: %q", got)
	}
}

func TestCandidates_Symlink(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	writeProgram(t, filepath.Join(dir, "php-cgi9.1"), "exit 1") // must not be run
	if err := os.Symlink("php-cgi9.1", filepath.Join(dir, "php-cgi")); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(phpbin.Candidates(), func(path string) bool { return filepath.Dir(path) != dir })
	if want := []string{filepath.Join(dir, "php-cgi")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, err := phpbin.Find("9.1"); err != nil || got != filepath.Join(dir, "php-cgi") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFind_NotFoundError(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	writeProgram(t, filepath.Join(dir, "php-cgi6.1"), echoVersion("6.1.7"))
	if err := os.Symlink("php-cgi6.1", filepath.Join(dir, "php-cgi")); err != nil {
		t.Fatal(err)
	}
	writeProgram(t, filepath.Join(dir, "php-cgi6.2"), "exit 1")
	_, err := phpbin.Find("5.1")
	if _, ok := errors.AsType[*phpbin.NotFoundError](err); !ok {
		t.Fatalf("got %T %v, want a *NotFoundError", err, err)
	}
	for _, part := range []string{`"5.1"`, "php-cgi5.1", "php51-cgi", dir, "installed is " + dir + "/php-cgi (6.1.7)", "apt install", "dnf install", "apk add", "brew install"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not contain %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "6.2") || strings.Count(err.Error(), "6.1") != 1 {
		t.Errorf("%q lists one that does not run, or one twice", err)
	}
}
