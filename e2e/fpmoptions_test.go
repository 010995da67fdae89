//go:build linux

package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMOptions writes every directive that php-fpm knows into the block of php_pool:
// the error says what to write instead, and the load of what it says is accepted.
func TestFPMOptions(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean)
	c := harness.FPMCommand(t, s.Dir, harness.Options{Workers: 1})
	c.Args = append(c.Args, "-tt") // prints every directive with its value
	dump := exec.Command(c.Args[0], c.Args[1:]...)
	dump.Env = c.Env
	out, err := dump.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	directive := regexp.MustCompile(`(?m)^[^\t]*\t+([a-z_.]+) = (.*)$`)
	// With the same name, or where -tt does not show them.
	same := map[string]bool{"user": true, "rlimit_core": true}
	names := map[string]string{
		"access.suppress_path": "/ping", "php_value[memory_limit]": "1G", "php_admin_value[memory_limit]": "1G", "php_flag[engine]": "on",
		"php_admin_flag[engine]": "on", "env[HOME]": "/tmp", "include": "pool.d/x", "listen.setfib": "1", "apparmor_hat": "x",
	}
	for _, m := range directive.FindAllStringSubmatch(string(out), -1) {
		if _, known := names[m[1]]; !known && !same[m[1]] {
			names[m[1]] = m[2]
		}
	}
	if len(names) < 50 {
		t.Fatalf("got %d directives from\n%s", len(names), out)
	}
	remedy := regexp.MustCompile(`: (?:write|remove it)\b`)
	for name, value := range names {
		file := filepath.Join(s.Dir, "Caddyfile")
		harness.WriteFile(t, file, "http://127.0.0.1:1 {\nphp_pool {\n"+name+" = \""+value+"\"\n}\n}\n")
		c := s.Command("adapt", "--config", file)
		cmd := exec.Command(c.Args[0], c.Args[1:]...)
		cmd.Env = c.Env
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), name+" ") || !remedy.Match(out) || strings.Contains(string(out), "unrecognized") {
			t.Errorf("%s = %s: got %v and %s", name, value, err, out)
		}
	}
}
