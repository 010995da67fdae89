package phpbin_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestDetect(t *testing.T) {
	o := ini("memory_limit", "77M")
	b, err := phpbin.Detect(testContext(t), php(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if b.SAPI != "cgi-fcgi" || !b.Version.AtLeast(7, 0) || !strings.HasPrefix(b.VersionText, b.Version.String()) {
		t.Errorf("%+v", b)
	}
	if b.MemoryLimit != 77<<20 {
		t.Errorf("got memory_limit %d", b.MemoryLimit)
	}
	if b.INIFile == "" || len(b.ScannedFiles) == 0 || len(b.INIFiles()) != 1+len(b.ScannedFiles) {
		t.Errorf("got ini files %q, %q", b.INIFile, b.ScannedFiles)
	}
	for _, file := range b.INIFiles() {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if len(b.Warnings) > 0 {
		t.Errorf("got warnings %q, want none", b.Warnings)
	}
	if !b.OPcache || b.ZTS {
		t.Errorf("got OPcache %v, ZTS %v, want true, false", b.OPcache, b.ZTS)
	}
	if got := b.Features().List(); !slices.Contains(got, "opcache") {
		t.Errorf("got features %q, want opcache among them", got)
	}
}

// Detect must run php-cgi only once, because Caddy's start waits for it.
func TestDetect_RunsOnce(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	path := writeProgram(t, filepath.Join(dir, "php-cgi"), `echo "$@" >>`+log+`; exec `+php(t)+` "$@"`)
	b, err := phpbin.Detect(testContext(t), path, phpbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	runs, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(runs), "\n"); n != 1 || b.SAPI != "cgi-fcgi" {
		t.Errorf("php-cgi was run %d times, want 1: %s(SAPI %q)", n, runs, b.SAPI)
	}
	// The version must be that of -v.
	out, err := exec.CommandContext(testContext(t), php(t), "-v").Output()
	if want := "PHP " + b.VersionText + " ("; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("php-cgi -v: got %q (%v), want %q", out, err, want)
	}
}

func TestDetect_INIOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my.ini")
	if err := os.WriteFile(file, []byte("memory_limit = -1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := phpbin.Detect(testContext(t), php(t), phpbin.Options{INIFile: file, INIScanDir: &dir})
	if err != nil {
		t.Fatal(err)
	}
	// The scan directory contains the same file.
	if b.INIFile != file || !slices.Equal(b.ScannedFiles, []string{file}) || b.MemoryLimit != -1 || b.INIScanDir != dir {
		t.Errorf("%+v", b)
	}
	if b.OPcache {
		t.Error("OPcache is enabled without its ini file")
	}
}

func TestDetect_Warnings(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.ini")
	if err := os.WriteFile(broken, []byte("memory_limit = 64M\nfoo = (bar\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		options phpbin.Options
		want    string
	}{
		"broken ini":        {phpbin.Options{INIFile: broken}, "syntax error"},
		"missing extension": {ini("extension", "no_such_thing"), "Unable to load dynamic library 'no_such_thing'"},
		"into a log": {
			ini("extension", "no_such_thing", "error_log", "/dev/null", "log_errors", "0"), "Unable to load dynamic library",
		},
		"value": {ini("memory_limit", "(12"), "Invalid \"memory_limit\" setting"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := phpbin.Detect(testContext(t), php(t), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if name == "value" && !b.Version.AtLeast(8, 2) {
				t.Skip("PHP warns about such a value since 8.2")
			}
			if got := strings.Join(b.Warnings, "\n"); !strings.Contains(got, test.want) {
				t.Errorf("warnings %q, want %q", got, test.want)
			}
		})
	}
}

func TestDetect_RunsNoScript(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "preload.php")
	trace := filepath.Join(dir, "trace")
	if err := os.WriteFile(script, []byte("<?php touch('"+trace+"');"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := ini("opcache.preload", script, "opcache.preload_user", "root", "auto_prepend_file", script)
	if _, err := phpbin.Detect(testContext(t), php(t), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("the script was run")
	}
}

func TestDetect_NotPHPCGI(t *testing.T) {
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, []byte{0x7f, 'E', 'L', 'F', 0}, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		want string
	}{
		"cli":        {writeProgram(t, filepath.Join(dir, "cli"), "echo 'PHP 8.2.36 (cli) (built: Nov 18 2026)'"), "another SAPI (cli)"},
		"not PHP":    {writeProgram(t, filepath.Join(dir, "other"), "echo hello"), `is not PHP: the output of -v is "hello"`},
		"silent":     {writeProgram(t, filepath.Join(dir, "silent"), ""), "the output of -v is empty"},
		"failing":    {writeProgram(t, filepath.Join(dir, "failing"), "echo libxml2.so missing >&2; exit 127"), "libxml2.so missing"},
		"no program": {noise, "is not a program for this machine"},
		"absent":     {filepath.Join(dir, "absent"), "no such file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := phpbin.Detect(testContext(t), test.path, phpbin.Options{})
			if err == nil || b != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestDetect_Timeout(t *testing.T) {
	path := writeProgram(t, filepath.Join(t.TempDir(), "slow"), "exec sleep 60")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := phpbin.Detect(ctx, path, phpbin.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestBinaryID_ReplacedFile(t *testing.T) {
	path := writeProgram(t, filepath.Join(t.TempDir(), "php-cgi"), echoVersion("8.2.1"))
	before, err := phpbin.FileID(path)
	if err != nil {
		t.Fatal(err)
	}
	writeProgram(t, path+".new", echoVersion("8.2.2"))
	if again, _ := phpbin.FileID(path); again != before {
		t.Error("the ID of the same file changed")
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if after, _ := phpbin.FileID(path); after == before {
		t.Error("the ID did not change with the file")
	}
}
