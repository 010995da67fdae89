package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// php is the php-cgi of this machine.
func php(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("php-cgi")
	if err != nil && testing.Short() {
		t.Skip("needs php-cgi, which is missing: make test installs it")
	}
	if err != nil {
		t.Fatal("php-cgi is missing: run make deps")
	}
	return path
}

// checkRealPHP looks at the real php-cgi, started by a pool with these settings.
func checkRealPHP(t *testing.T, o phpbin.Options) Subject {
	t.Helper()
	o.Binary = php(t)
	w := &invocation{path: o.Binary, options: o, shared: sharedIsDefault, pools: []string{"x"}}
	return w.run(t.Context())
}

func settings(pairs ...string) phpbin.Options {
	var o phpbin.Options
	for i := 0; i < len(pairs); i += 2 {
		o.INI = append(o.INI, phpbin.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return o
}

// write writes a file of a test below dir.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// format is findings as a test compares them: level, text, cure.
func format(list []Finding) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, fmt.Sprintf("%s: %s → %s", f.Level, f.Summary, f.Remedy))
	}
	return strings.Join(lines, "\n")
}

// wantFinding wants one of that level whose text and cure say this.
func wantFinding(t *testing.T, list []Finding, level Level, text, remedy string) {
	t.Helper()
	for _, f := range list {
		if f.Level == level && strings.Contains(f.Summary, text) && strings.Contains(f.Remedy, remedy) {
			return
		}
	}
	t.Errorf("no %s says %q with the cure %q, only:\n%s", level, text, remedy, format(list))
}

// wantNoFinding wants no note or problem that says this.
func wantNoFinding(t *testing.T, list []Finding, text string) {
	t.Helper()
	for _, f := range list {
		if f.Level != OK && strings.Contains(f.Summary, text) {
			t.Errorf("got %s: %s", f.Level, f.Summary)
		}
	}
}
