package poolcfg

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// processOf is what the processes of a pool with these options would see.
func processOf(t *testing.T, o *Options) *Plan {
	t.Helper()
	s := &Plan{Options: o}
	if err := s.prepare("php-cgi"); err != nil {
		t.Fatal(err)
	}
	return s
}

// named finds a setting.
func named(list []phpbin.Setting, name string) string {
	i := slices.IndexFunc(list, func(s phpbin.Setting) bool { return s.Name == name })
	if i < 0 {
		return ""
	}
	return list[i].Value
}

func TestAdminSettingsAreInForceFromTheStartAndFinal(t *testing.T) {
	s := processOf(t, &Options{
		INI: map[string]string{"memory_limit": "1M"}, AdminINI: map[string]string{"memory_limit": "2M", "disable_functions": "exec"},
	})
	last := map[string]string{}
	for _, setting := range s.Process.INI {
		last[setting.Name] = setting.Value
	}
	if last["memory_limit"] != "2M" || last["disable_functions"] != "exec" || last[discardPath] != "1" {
		t.Errorf("at the start: got %v", s.Process.INI)
	}
	if named(s.Process.AdminINI, "memory_limit") != "2M" || len(s.Process.AdminINI) != 2 || len(s.Process.AdminDirs) == 0 {
		t.Errorf("final: got %v for %q", s.Process.AdminINI, s.Process.AdminDirs)
	}
	if plain := processOf(t, &Options{INI: map[string]string{"memory_limit": "1M"}}); plain.AdminINIDirs() != nil {
		t.Errorf("without any: got %v", plain.Process.AdminDirs)
	}
	for _, o := range []Options{{INI: map[string]string{discardPath: "0"}}, {AdminINI: map[string]string{discardPath: "0"}}} {
		if err := (&Plan{Options: &o}).prepare("php-cgi"); err == nil || !strings.Contains(err.Error(), discardPath) {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestIsolateIsOverruledByWhatIsSpelledOut(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	root := t.TempDir()
	o := &Options{
		Isolate: new(true), NoNewPrivs: new(false), Umask: "022", ProcessEnv: map[string]string{"TMPDIR": "/mine"},
		AdminINI: map[string]string{"open_basedir": "/mine"}, INI: map[string]string{"disable_functions": ""},
	}
	if err := o.BindToRoot("shop: 1", root, true); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		o.Umask = ""
	}
	s := processOf(t, o)
	if s.Process.NoNewPrivs || o.Umask != "" && *s.Process.Umask != 0o022 || s.Process.Env["TMPDIR"] != "/mine" || named(s.Process.AdminINI, "open_basedir") != "/mine" {
		t.Errorf("got %+v", s.Process)
	}
	if got := named(s.Process.AdminINI, "disable_functions"); got != unsafeFunctions {
		t.Errorf("ini has overruled it: %q", got)
	}
	if base := filepath.Base(s.privateDir); !strings.HasPrefix(base, "shop%3A+1") || filepath.Dir(filepath.Dir(s.privateDir)) != os.Getenv("STATE_DIRECTORY") {
		t.Errorf("its own directory is %s", s.privateDir)
	}
}

// TestNothingIsGivenAwayThroughALink has something else lie where a directory of
// the pool's own is to be.
func TestNothingIsGivenAwayThroughALink(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	for name, lay := range map[string]func(path, target string) error{
		"a link": func(path, target string) error { return os.Symlink(target, path) },
		"a file": func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		o := &Options{Isolate: new(true)}
		if err := o.BindToRoot(name, t.TempDir(), true); err != nil {
			t.Fatal(err)
		}
		s := processOf(t, o)
		target := t.TempDir()
		before, err := os.Stat(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(s.privateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := lay(s.privateSubdir("sessions"), target); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateDirs(); err == nil || !strings.Contains(err.Error(), "is not a directory") {
			t.Errorf("%s: got %v", name, err)
		}
		after, err := os.Stat(target)
		if err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s: what it leads to had mode %v, and has %v, %v", name, before.Mode(), after.Mode(), err)
		}
		uid, _, _ := fileOwner(before)
		if now, _, _ := fileOwner(after); now != uid {
			t.Errorf("%s: what it leads to was given to %d", name, now)
		}
	}
}

func TestPHPHasToReachWhatIsItsOwn(t *testing.T) {
	if !isRoot() {
		t.Skip("only root can have PHP run as another user")
	}
	closed := t.TempDir() // below a directory of mode 0700
	t.Setenv("STATE_DIRECTORY", filepath.Join(closed, "state"))
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	o := &Options{Isolate: new(true)}
	if err := o.BindToRoot("p", "/srv/p", true); err != nil {
		t.Fatal(err)
	}
	if err := processOf(t, o).CreateDirs(); err == nil || !strings.Contains(err.Error(), "may not enter (x)") {
		t.Errorf("got %v", err)
	}
}

func TestTheStateDirectoryIsSystemds(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", filepath.FromSlash("/var/lib/caddy")+string(os.PathListSeparator)+"/other")
	if got, want := stateDir(), filepath.FromSlash("/var/lib/caddy/php_pool"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
