//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestQuickStart serves the first snippet of README.md and Caddyfile.example with the
// default admin endpoint, as root and as another user, and runs the commands that
// README.md names. Nothing of ours logs a warning.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("needs root, to run Caddy as root and as another user")
	}
	_, snippet, _ := strings.Cut(harness.ReadFile(t, "../README.md"), "```caddyfile\n")
	snippet, _, ok := strings.Cut(snippet, "```")
	if !ok || !strings.HasPrefix(snippet, "example.com {") || !strings.Contains(snippet, "\n\troot /srv/www\n") {
		t.Fatalf("README.md begins with another snippet: %s", snippet)
	}
	for name, text := range map[string]string{
		"README.md":         strings.NewReplacer("example.com", "http://127.0.0.1:{$PORT}", "/srv/www", "{$SITE}").Replace(snippet),
		"Caddyfile.example": strings.NewReplacer("localhost:8080", "127.0.0.1:{$PORT}", "caddymodule/cmd/caddy/welcome", "{$SITE}").Replace(harness.ReadFile(t, "../Caddyfile.example")),
	} {
		for _, as := range []harness.RunAs{harness.AsRoot, harness.AsConfined} {
			t.Run(name+"/"+string(as), func(t *testing.T) {
				t.Parallel()
				s := harness.Prepare(t, harness.SharedLean, harness.Options{RunAs: as})
				s.Options.Env = append(s.Options.Env, fmt.Sprintf("CADDY_ADMIN=127.0.0.1:%d", s.Port+1))
				config := filepath.Join(s.Dir, "Caddyfile")
				harness.WriteFile(t, config, text)
				s.Supervised = harness.Supervise(t, s.Command("run", "--config", config, "--adapter", "caddyfile"))
				s.WaitLogged("serving initial configuration", 1)
				s.Get("/hello.php").Want(t, 200, "hello\n")
				for _, args := range []string{"status", "top --once", "backtrace"} {
					c := s.Command(append([]string{"php-pool"}, strings.Fields(args)...)...)
					c.Log = filepath.Join(s.Dir, "command.log")
					harness.WriteFile(t, c.Log, "")
					if code, ok := harness.Supervise(t, c).Wait(harness.MaxWait); code != 0 || !ok {
						t.Errorf("caddy php-pool %s: got code %d:\n%s", args, code, harness.ReadFile(t, c.Log))
					}
				}
				for _, entry := range s.LogEntries() {
					logger := fmt.Sprint(entry["logger"])
					if level := entry["level"]; strings.Contains(logger, "php_pool") && level != "info" && level != "debug" {
						t.Errorf("got the message %v", entry)
					}
				}
			})
		}
	}
}
