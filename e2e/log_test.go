//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// logged lists the log entries with a message.
func (s *server) logged(message string) (entries []map[string]any) {
	s.t.Helper()
	for _, entry := range s.logs() {
		if entry["msg"] == message {
			entries = append(entries, entry)
		}
	}
	return entries
}

var crashed = regexp.MustCompile(`(?m)^(panic:|fatal error:|runtime: |SIG[A-Z]+:|WARNING: DATA RACE)|"msg":"panic|http: panic serving`)

// lastWords are the last lines of the log that are not routine.
func (s *server) lastWords() string {
	var lines []string
	for line := range strings.Lines(s.log()) {
		if !strings.HasPrefix(line, `{"level":"info"`) && !strings.Contains(line, "skipped because it requires TLS") {
			lines = append(lines, fmt.Sprintf("%.1000s", strings.TrimSpace(line)))
		}
	}
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// log is all that Caddy wrote.
func (s *server) log() string { return readFile(s.t, filepath.Join(s.dir, "caddy.log")) }

// hasLogged reports whether a text is in Caddy's log.
func (s *server) hasLogged(text string) bool { return strings.Contains(s.log(), text) }

// logs are Caddy's log entries.
func (s *server) logs() []map[string]any {
	s.t.Helper()
	var entries []map[string]any
	for line := range strings.Lines(s.log()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil {
			entries = append(entries, entry)
		}
	}
	return entries
}

// lastError is the last error in the log: why a configuration was refused.
func (s *server) lastError() string {
	message := ""
	for _, entry := range s.logs() {
		if entry["level"] == "error" || entry["level"] == "fatal" {
			message = fmt.Sprint(entry["msg"])
		}
	}
	return message
}

// wantLog waits until there are so many entries with a message, and returns the
// last of them.
func (s *server) wantLog(message string, n int) map[string]any {
	s.t.Helper()
	var found []map[string]any
	eventually(s.t, func() error {
		found = nil
		for _, entry := range s.logs() {
			if entry["msg"] == message {
				found = append(found, entry)
			}
		}
		if len(found) != n {
			return fmt.Errorf("%d entries say %q, want %d", len(found), message, n)
		}
		return nil
	})
	return found[n-1]
}
