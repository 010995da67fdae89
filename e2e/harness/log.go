//go:build linux

package harness

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Logged returns the log entries with a message.
func (s *Server) Logged(message string) (entries []map[string]any) {
	s.T.Helper()
	for _, entry := range s.LogEntries() {
		if entry["msg"] == message {
			entries = append(entries, entry)
		}
	}
	return entries
}

var crashPattern = regexp.MustCompile(`(?m)^(panic:|fatal error:|runtime: |SIG[A-Z]+:|WARNING: DATA RACE)|"msg":"panic|http: panic serving`)

// lastLogLines returns the last lines of the log that are not routine.
func (s *Server) lastLogLines() string {
	var lines []string
	for line := range strings.Lines(s.Log()) {
		if !strings.HasPrefix(line, `{"level":"info"`) && !strings.Contains(line, "skipped because it requires TLS") {
			lines = append(lines, fmt.Sprintf("%.1000s", strings.TrimSpace(line)))
		}
	}
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// Log returns everything that Caddy has logged.
func (s *Server) Log() string { return ReadFile(s.T, filepath.Join(s.Dir, "caddy.log")) }

// HasLogged reports whether a text is in Caddy's log.
func (s *Server) HasLogged(text string) bool { return strings.Contains(s.Log(), text) }

// LogEntries returns Caddy's log entries.
func (s *Server) LogEntries() []map[string]any {
	s.T.Helper()
	var entries []map[string]any
	for line := range strings.Lines(s.Log()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil {
			entries = append(entries, entry)
		}
	}
	return entries
}

// LastError returns the last error in the log: why a configuration was rejected.
func (s *Server) LastError() string {
	message := ""
	for _, entry := range s.LogEntries() {
		if entry["level"] == "error" || entry["level"] == "fatal" {
			message = fmt.Sprint(entry["msg"])
		}
	}
	return message
}

// WaitLogged waits until there are n log entries with a message, and returns the last
// of them.
func (s *Server) WaitLogged(message string, n int) map[string]any {
	s.T.Helper()
	var found []map[string]any
	Eventually(s.T, func() error {
		found = nil
		for _, entry := range s.LogEntries() {
			if entry["msg"] == message {
				found = append(found, entry)
			}
		}
		if len(found) != n {
			return fmt.Errorf("%d log entries with message %q, want %d", len(found), message, n)
		}
		return nil
	})
	return found[n-1]
}
