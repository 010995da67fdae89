package poolcfg

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// newPlan returns the plan of options with the php-cgi of this machine, and what was
// logged.
func newPlan(t *testing.T, o *Options) (*Plan, *observer.ObservedLogs) {
	t.Helper()
	if _, err := exec.LookPath("php-cgi"); err != nil {
		if testing.Short() {
			t.Skip("needs php-cgi, which is missing: make test installs it")
		}
		t.Fatal("php-cgi is missing: run make deps")
	}
	core, logs := observer.New(zap.WarnLevel)
	p, err := NewPlan(t.Context(), zap.New(core), o, Uncached)
	if err != nil {
		t.Fatal(err)
	}
	return p, logs
}

// The error for a php-cgi that is missing has one remedy after the other, not one of
// them within the other.
func TestNewPlan_MissingBinary(t *testing.T) {
	for binary, want := range map[string]string{
		"5.3":              `binary 5.3: php-cgi "5.3" not found: searched for .*; install it with .*, or write the name, path or version of an installed one`,
		"/nowhere/php-cgi": `binary /nowhere/php-cgi: php-cgi: stat /nowhere/php-cgi: .*: write the name, path or version of an installed php-cgi`,
	} {
		_, err := NewPlan(t.Context(), zap.NewNop(), &Options{Binary: binary}, Uncached)
		if err == nil || !regexp.MustCompile("^"+want+"$").MatchString(err.Error()) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A typing error in the name of a setting is logged, with the name that was meant.
// What isolate sets for extensions that are not loaded is not.
func TestNewPlan_UnknownINI(t *testing.T) {
	o := &Options{
		Isolate: new(true), INI: map[string]string{"memory_limt": "1M", "memory_limit": "64M", "my.own": "1"},
		AdminINI: map[string]string{"open_basdir": "/srv", "upload_max_filesize": "1M"},
	}
	none := t.TempDir()
	o.INIScanDir = none // so that no extension is loaded
	if err := o.BindToRoot("x", t.TempDir(), true); err != nil {
		t.Fatal(err)
	}
	p, logs := newPlan(t, o)
	var got []string
	for _, e := range logs.FilterMessage("ini setting is unknown to PHP; correct its name, load its extension, or remove it").All() {
		got = append(got, e.ContextMap()["name"].(string)+": "+e.ContextMap()["reason"].(string))
	}
	want := []string{"memory_limt: did you mean memory_limit?", "my.own: only get_cfg_var() can read it", "open_basdir: did you mean open_basedir?"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(p.Binary.UnknownINI); n <= len(want) {
		t.Errorf("got %d unknown settings, want those of isolate too: the test shows nothing", n)
	}
}

// An empty directory in the list is php-cgi's own, as in PHP_INI_SCAN_DIR.
func TestNewPlan_INIScanDirs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "more.ini")
	// PHP is another user if this is root.
	if err := errors.Join(os.WriteFile(file, []byte("memory_limit=77M\n"), 0o644), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	own, _ := newPlan(t, &Options{})
	for value, want := range map[string][]string{
		dir:                                  {file},
		string(filepath.ListSeparator) + dir: append(slices.Clone(own.Binary.ScannedFiles), file),
	} {
		if p, _ := newPlan(t, &Options{INIScanDir: value}); !slices.Equal(p.Binary.ScannedFiles, want) {
			t.Errorf("%s: got %q, want %q", value, p.Binary.ScannedFiles, want)
		}
	}
	_, err := NewPlan(t.Context(), zap.NewNop(), &Options{INIScanDir: dir + string(filepath.ListSeparator) + "/no/such"}, Uncached)
	if want := "ini_scan_dir /no/such: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
