//go:build linux

package webservers

import (
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestDocs_Differences compares the list deliberate with the table that the
// documentation prints.
func TestDocs_Differences(t *testing.T) {
	const page = "../../docs/migrating.md"
	_, section, ok := strings.Cut(harness.ReadFile(t, page), "\n### Behind other web servers\n")
	if !ok {
		t.Fatalf("%s has no section for other web servers", page)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var printed []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			printed = append(printed, line)
		}
	}
	var want []string
	for _, d := range deliberate {
		want = append(want, "| "+strings.Join([]string{d.what, d.theirs, d.ours, d.reason}, " | ")+" |")
	}
	if len(printed) < 2 || !slices.Equal(printed[2:], want) {
		t.Errorf("the table in %s has to be:\n%s", page, strings.Join(want, "\n"))
	}
}
