//go:build linux

package e2e

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestRunAs_Exceptions checks that the tests that ignore -run-as exist.
func TestRunAs_Exceptions(t *testing.T) {
	t.Parallel()
	var tests []string
	for _, pattern := range []string{"*_test.go", "*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests = append(tests, m[1])
			}
		}
	}
	for _, e := range harness.Exceptions {
		pattern, _, _ := strings.Cut(e.Test, "/")
		found := false
		for _, name := range tests {
			ok, err := path.Match(pattern, name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || ok
		}
		if !found || e.Why == "" {
			t.Errorf("%s: exists: %t, the reason is %q", e.Test, found, e.Why)
		}
	}
}
