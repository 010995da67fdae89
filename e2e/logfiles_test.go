//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestDocs_LogFiles loads the logs of docs/migrating.md: slow requests and the
// messages of scripts are in a file each, and not in the main log.
func TestDocs_LogFiles(t *testing.T) {
	t.Parallel()
	page := harness.ReadFile(t, "../docs/migrating.md")
	m := regexp.MustCompile("(?s)```caddyfile\n\\{\n(\tlog default.*?)\n\\}\n```").FindStringSubmatch(page)
	if m == nil {
		t.Fatal("docs/migrating.md has no block with log default")
	}
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b, harness.Options{Global: strings.ReplaceAll(m[1], "/var/log/caddy", "{$DIR}")})
		if err := s.Run(harness.PoolSite(b, "workers 1", "slow_request 1ms")); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, filepath.Join(s.Site, "noisy.php"), "<?php error_log('a message of the script'); usleep(50_000); echo 'done';")
		s.Get("/noisy.php").Want(t, 200, "done")
		for name, text := range map[string]string{"php-slow.log": "slow request", "php-error.log": "a message of the script"} {
			harness.Eventually(t, func() error {
				content, err := os.ReadFile(filepath.Join(s.Dir, name))
				if err == nil && !strings.Contains(string(content), text) {
					err = fmt.Errorf("%s lacks %q: %s", name, text, content)
				}
				return err
			})
			if s.HasLogged(text) {
				t.Errorf("%q is in the main log too", text)
			}
		}
	})
}
