//go:build linux

package harness

import (
	"slices"
	"strings"
	"testing"
)

// WantTable checks that the only table in a section of a page has these rows.
func WantTable(tb testing.TB, page, section string, rows [][]string) {
	tb.Helper()
	var printed []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			printed = append(printed, line)
		}
	}
	var want []string
	for _, row := range rows {
		want = append(want, "| "+strings.Join(row, " | ")+" |")
	}
	if len(printed) < 2 || !slices.Equal(printed[2:], want) {
		tb.Errorf("the table in %s has to be:\n%s", page, strings.Join(want, "\n"))
	}
}
