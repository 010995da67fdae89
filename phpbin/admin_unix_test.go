//go:build unix

package phpbin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// withAdmin returns o with AdminINI for dirs.
func withAdmin(o phpbin.Options, dirs []string, pairs ...string) phpbin.Options {
	o.AdminINI, o.AdminDirs = ini(pairs...).INI, dirs
	return o
}

// asCGI runs a script as a web server without FastCGI does, so that the settings
// of its directory apply.
func asCGI(t *testing.T, o phpbin.Options, script string) string {
	t.Helper()
	cmd := exec.Command(php(t), append(o.Args(), "-q")...)
	cmd.Env = []string{"HOME=/home/of/nobody", "REDIRECT_STATUS=200", "REQUEST_METHOD=GET", "SCRIPT_FILENAME=" + script}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%q: %v\n%s", o.Args(), err, &stderr)
	}
	_, body, _ := strings.Cut(string(out), "\r\n\r\n")
	return body
}

func TestAdminINI_QuotedValues(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "x.php")
	if err := os.WriteFile(script, []byte("<?php echo json_encode([ini_get('user_agent'), ini_get('from')]);"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, value := range iniValues {
		o := withAdmin(ini("user_agent", "overridden"), []string{"/nowhere", dir, "/elsewhere"}, "user_agent", value, "from", "the next line")
		var got []string
		if err := json.Unmarshal([]byte(asCGI(t, o, script)), &got); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if want := []string{parsedINI(t, value), "the next line"}; !slices.Equal(got, want) {
			t.Errorf("%q: got %q with %q", value, got, o.Args()[3])
		}
	}
}

func TestAdminINI_DirectoryNames(t *testing.T) {
	for _, name := range []string{"plain", "with space", "it's", `"quoted"`, "a]b", "a;b", "a=b", "${HOME}", "Grüße", "#x", "a'b\"c]"} {
		dir := filepath.Join(t.TempDir(), name)
		script := filepath.Join(dir, "below", "x.php")
		if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(script, []byte("<?php echo ini_get('user_agent');"), 0o644); err != nil {
			t.Fatal(err)
		}
		o := withAdmin(phpbin.Options{}, []string{"/nowhere", dir, "/elsewhere"}, "user_agent", "admin value")
		if got := asCGI(t, o, script); got != "admin value" {
			t.Errorf("%s: got %q with %q", name, got, o.Args()[1])
		}
	}
}

func TestTopLevelDirs(t *testing.T) {
	dirs, err := phpbin.TopLevelDirs()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := filepath.EvalSymlinks(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{self, resolved} {
		if top := phpbin.TopLevelDir(path); !slices.Contains(dirs, top) {
			t.Errorf("%s: top-level directory %s is not in %q", path, top, dirs)
		}
	}
	for _, path := range []string{"", "/", "//x/y.php", "/./x/y.php", "/y.php"} {
		if top := phpbin.TopLevelDir(path); slices.Contains(dirs, top) {
			t.Errorf("%q: got top-level directory %q, want none of TopLevelDirs", path, top)
		}
	}
}

func TestAdminINI_ValidateErrors(t *testing.T) {
	good := phpbin.Options{Binary: "php-cgi", Handshake: handshake}
	for want, o := range map[string]phpbin.Options{
		"AdminDirs is empty":         withAdmin(good, nil, "a", "b"),
		"invalid ini directive":      withAdmin(good, []string{"/x"}, "a\n[HOST=x]", "b"),
		"NUL byte":                   withAdmin(good, []string{"/x\x00"}, "a", "b"),
		"at most 131071 are allowed": withAdmin(good, []string{"/x", "/y"}, "a", strings.Repeat("b", 70<<10)),
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
