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

// php returns the path of the php-cgi of this machine.
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

// checkRealPHP checks the real php-cgi with the options of a pool x.
func checkRealPHP(t *testing.T, o phpbin.Options) Subject {
	t.Helper()
	o.Binary = php(t)
	inv := &invocation{path: o.Binary, options: o, shared: phpbin.SupportsShared, pools: []string{"x"}}
	return inv.run(t.Context())
}

// settings returns options with these names and values of ini settings.
func settings(pairs ...string) phpbin.Options {
	var o phpbin.Options
	for i := 0; i < len(pairs); i += 2 {
		o.INI = append(o.INI, phpbin.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return o
}

// write creates an executable file below dir and returns its path.
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

// format returns one line for each finding.
func format(list []Finding) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, fmt.Sprintf("%s: %s → %s", f.Level, f.Summary, f.Remedy))
	}
	return strings.Join(lines, "\n")
}

// wantFinding fails unless a finding has the level and contains both texts.
func wantFinding(t *testing.T, list []Finding, level Level, text, remedy string) {
	t.Helper()
	for _, f := range list {
		if f.Level == level && strings.Contains(f.Summary, text) && strings.Contains(f.Remedy, remedy) {
			return
		}
	}
	t.Errorf("no %s with %q and the remedy %q in:\n%s", level, text, remedy, format(list))
}

// wantNoFinding fails if a note or problem contains the text.
func wantNoFinding(t *testing.T, list []Finding, text string) {
	t.Helper()
	for _, f := range list {
		if f.Level != OK && strings.Contains(f.Summary, text) {
			t.Errorf("unexpected %s: %s", f.Level, f.Summary)
		}
	}
}
