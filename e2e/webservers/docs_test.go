//go:build linux

package webservers

import (
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
	var rows [][]string
	for _, d := range deliberate {
		rows = append(rows, []string{d.what, d.theirs, d.ours, d.reason})
	}
	harness.WantTable(t, page, section, rows)
}
