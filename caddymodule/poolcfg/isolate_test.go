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

// prepared returns a plan with the options of its processes.
func prepared(t *testing.T, o *Options) *Plan {
	t.Helper()
	p := &Plan{Options: o}
	if err := p.prepare("php-cgi"); err != nil {
		t.Fatal(err)
	}
	return p
}

// setting returns the value of the first setting of a name, "" if it is missing.
func setting(list []phpbin.Setting, name string) string {
	i := slices.IndexFunc(list, func(s phpbin.Setting) bool { return s.Name == name })
	if i < 0 {
		return ""
	}
	return list[i].Value
}

func TestAdminINI_AppliesFromStart(t *testing.T) {
	p := prepared(t, &Options{
		INI: map[string]string{"memory_limit": "1M"}, AdminINI: map[string]string{"memory_limit": "2M", "disable_functions": "exec"},
	})
	last := map[string]string{}
	for _, s := range p.Process.INI {
		last[s.Name] = s.Value
	}
	if last["memory_limit"] != "2M" || last["disable_functions"] != "exec" || last[discardPath] != "1" {
		t.Errorf("ini: got %v", p.Process.INI)
	}
	if setting(p.Process.AdminINI, "memory_limit") != "2M" || len(p.Process.AdminINI) != 2 || len(p.Process.AdminDirs) == 0 {
		t.Errorf("admin_ini: got %v for %q", p.Process.AdminINI, p.Process.AdminDirs)
	}
	if plain := prepared(t, &Options{INI: map[string]string{"memory_limit": "1M"}}); plain.AdminINIDirs() != nil {
		t.Errorf("without admin_ini: got %v", plain.Process.AdminDirs)
	}
	for _, o := range []Options{{INI: map[string]string{discardPath: "0"}}, {AdminINI: map[string]string{discardPath: "0"}}} {
		if err := (&Plan{Options: &o}).prepare("php-cgi"); err == nil || !strings.Contains(err.Error(), discardPath) {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestIsolate_ExplicitOptionsWin(t *testing.T) {
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
	p := prepared(t, o)
	if p.Process.NoNewPrivs || o.Umask != "" && *p.Process.Umask != 0o022 || p.Process.Env["TMPDIR"] != "/mine" || setting(p.Process.AdminINI, "open_basedir") != "/mine" {
		t.Errorf("got %+v", p.Process)
	}
	if got := setting(p.Process.AdminINI, "disable_functions"); got != unsafeFunctions {
		t.Errorf("ini has overridden disable_functions: %q", got)
	}
	if base := filepath.Base(p.privateDir); !strings.HasPrefix(base, "shop%3A+1") || filepath.Dir(filepath.Dir(p.privateDir)) != os.Getenv("STATE_DIRECTORY") {
		t.Errorf("private directory: got %s", p.privateDir)
	}
}

// TestIsolate_PrivateDirReplaced replaces a private directory by a symlink or a
// file: Caddy must not change the owner or the mode of the target.
func TestIsolate_PrivateDirReplaced(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	for name, create := range map[string]func(path, target string) error{
		"a symlink": func(path, target string) error { return os.Symlink(target, path) },
		"a file":    func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		o := &Options{Isolate: new(true)}
		if err := o.BindToRoot(name, t.TempDir(), true); err != nil {
			t.Fatal(err)
		}
		p := prepared(t, o)
		target := t.TempDir()
		before, err := os.Stat(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(p.privateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := create(p.privateSubdir("sessions"), target); err != nil {
			t.Fatal(err)
		}
		if err := p.CreateDirs(); err == nil || !strings.Contains(err.Error(), "is not a directory") {
			t.Errorf("%s: got %v", name, err)
		}
		after, err := os.Stat(target)
		if err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s: the mode of the target was %v, is %v, %v", name, before.Mode(), after.Mode(), err)
		}
		if got, want := fileOwner(after), fileOwner(before); got != want {
			t.Errorf("%s: the owner of the target is %d, want %d", name, got, want)
		}
	}
}

func TestIsolate_PrivateDirUnreachable(t *testing.T) {
	if !isRoot() {
		t.Skip("only root can run PHP as another user")
	}
	closed := t.TempDir()
	t.Setenv("STATE_DIRECTORY", filepath.Join(closed, "state"))
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	o := &Options{Isolate: new(true)}
	if err := o.BindToRoot("p", "/srv/p", true); err != nil {
		t.Fatal(err)
	}
	if err := prepared(t, o).CreateDirs(); err == nil || !strings.Contains(err.Error(), "may not enter (x)") {
		t.Errorf("got %v", err)
	}
}

func TestIsolate_StateDirectory(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", filepath.FromSlash("/var/lib/caddy")+string(os.PathListSeparator)+"/other")
	if got, want := stateDir(), filepath.FromSlash("/var/lib/caddy/php_pool"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
