//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// monitoring is the page that describes the commands and the admin API.
const monitoring = "../docs/monitoring.md"

// TestDocs_Commands compares the table of `caddy php-pool` with its help.
func TestDocs_Commands(t *testing.T) {
	t.Parallel()
	help := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), harness.CaddyBinary, append(args, "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `caddy php-pool ([a-z]+)([^`]*)` \\|").FindAllStringSubmatch(harness.ReadFile(t, monitoring), -1) {
		documented[m[1]] = true
		text := help("php-pool", m[1])
		for _, option := range regexp.MustCompile(`[^\w-](--?[a-zA-Z]+)`).FindAllStringSubmatch(m[2], -1) {
			if !regexp.MustCompile(`(?m)(?:^|\s)` + option[1] + `\b`).MatchString(text) {
				t.Errorf("caddy php-pool %s has no %s:\n%s", m[1], option[1], text)
			}
		}
	}
	_, list, _ := strings.Cut(help("php-pool"), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(list, -1)
	if len(commands) < 8 {
		t.Errorf("got %d commands", len(commands))
	}
	for _, m := range commands {
		if !documented[m[1]] {
			t.Errorf("caddy php-pool %s is not documented", m[1])
		}
	}
}

// TestDocs_CheckTheBuild runs the commands with which xcaddy.md checks a Caddy. The
// one that starts it only validates the Caddyfile.
func TestDocs_CheckTheBuild(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(harness.ReadFile(t, "../xcaddy.md"), "## Check it")
	_, block, _ := strings.Cut(section, "```sh\n")
	block, _, ok := strings.Cut(block, "```")
	script := strings.ReplaceAll(block, "./caddy run", "./caddy validate")
	if !ok || script == block {
		t.Fatalf("xcaddy.md has no check that starts Caddy: %q", block)
	}
	dir := t.TempDir()
	if err := os.Symlink(harness.CaddyBinary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{
		"\nadmin.api.php_pool\n", "\nphp_pool\n", "\nhttp.handlers.php_pool\n", "\nhttp.handlers.php_pool_ping\n",
		"\nhttp.handlers.php_pool_status\n", "\nhttp.reverse_proxy.transport.php_pool\n", "\nValid configuration\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got no %q:\n%s", want, out)
		}
	}
}

// TestDocs_Samples runs the commands that show a pool, and compares the fields of
// what they print with those of the samples that follow them.
func TestDocs_Samples(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool
			php_pool_status /status
			file_server
		}
	`, harness.Options{Global: "php_pool {\nthreads auto\n}\n"}) // as by default with two CPUs
	s.Get("/hello.php").Want(t, 200, "hello\n")
	s.StartBlocked("wait.php")
	sample := regexp.MustCompile("(?s)```sh\n(curl [^\n]*)\n```\n\n```(\\w*)\n(.*?)```")
	samples := sample.FindAllStringSubmatch(harness.ReadFile(t, monitoring), -1)
	if len(samples) != 3 {
		t.Fatalf("%s has %d commands with a sample, want 3", monitoring, len(samples))
	}
	for _, m := range samples {
		command := strings.NewReplacer(
			"localhost:8080", strings.TrimPrefix(s.URL, "http://"),
			"localhost:2019", "--unix-socket '"+filepath.Join(s.Dir, "admin.sock")+"' http://127.0.0.1",
		).Replace(m[1])
		got, want := fields(t, m[2], shell(s, command)), fields(t, m[2], m[3])
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s: %s is in the sample only", m[1], name)
			}
		}
		for _, name := range got {
			if !slices.Contains(want, name) {
				t.Errorf("%s: %s is not in the sample", m[1], name)
			}
		}
	}
}

// fields returns the names in a JSON text, with their parents, or the names before
// colons in other text.
func fields(t *testing.T, format, text string) []string {
	t.Helper()
	names := map[string]bool{}
	if format != "json" {
		for _, m := range regexp.MustCompile(`(?m)^([a-z][\w ]*):`).FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
		return slices.Sorted(maps.Keys(names))
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	var walk func(any, string)
	walk = func(value any, path string) {
		switch value := value.(type) {
		case map[string]any:
			for name, child := range value {
				names[fmt.Sprint(path, ".", name)] = true
				walk(child, path+"."+name)
			}
		case []any:
			for _, child := range value {
				walk(child, path+"[]")
			}
		}
	}
	walk(value, "")
	return slices.Sorted(maps.Keys(names))
}
