package devpage

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// message holds what PHP has logged at once: an error, or the text of an error_log().
type message struct {
	Level string `json:"level"` // "Warning", "Fatal error" and so on; empty if it is not from PHP itself
	Text  string `json:"message"`
	File  string `json:"-"` // where it happened; empty if it does not say so
	Line  int    `json:"-"`
	Times int    `json:"times"` // how often it was logged
}

var (
	// main/main.c, php_error_cb: "PHP %s:  %s in %s on line %d".
	fromPHP = regexp.MustCompile(`^PHP ([A-Z][a-z]+(?: [a-z]+){0,2}):  (.*)`)
	// The lines that follow the first one of an uncaught exception (Zend/zend_exceptions.c)
	// and those of Xdebug's stack trace.
	continues = regexp.MustCompile(`^(?:Stack trace:|#\d+ |  thrown in |Next |PHP Stack trace:|PHP +\d+\. |\s*$)`)
	onLine    = regexp.MustCompile(`(?s)^.* in (/.+?|[A-Za-z]:\\.+?)(?: on line |:)(\d+)\s*$`)
	thrownAt  = regexp.MustCompile(` in (/[^\n]+?|[A-Za-z]:\\[^\n]+?):(\d+)(?:\n|$)`)
)

// parseMessages returns the messages in what PHP has logged. Equal ones are one.
func parseMessages(text string) []message {
	var list []message
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := fromPHP.FindStringSubmatch(line); m != nil {
			list = append(list, message{Level: m[1], Text: m[2], Times: 1})
			continue
		}
		if n := len(list); n > 0 && list[n-1].Level != "" && continues.MatchString(line) {
			list[n-1].Text += "\n" + line
			continue
		}
		if strings.TrimSpace(line) != "" {
			list = append(list, message{Text: line, Times: 1})
		}
	}
	var distinct []message
	seen := map[string]int{}
	for _, m := range list {
		m.Text = strings.TrimRight(m.Text, "\n ")
		m.locate()
		key := m.Level + "\x00" + m.Text
		if i, ok := seen[key]; ok {
			distinct[i].Times++
			continue
		}
		seen[key] = len(distinct)
		distinct = append(distinct, m)
	}
	return distinct
}

// locate sets File and Line. An uncaught exception names where it was thrown first.
func (m *message) locate() {
	at := thrownAt.FindStringSubmatch(m.Text)
	if first, _, _ := strings.Cut(m.Text, "\n"); at == nil {
		at = onLine.FindStringSubmatch(first)
	}
	if at == nil {
		return
	}
	if line, err := strconv.Atoi(at[2]); err == nil {
		m.File, m.Line = at[1], line
	}
}

// isFatal reports whether the message says why the script ended.
func (m message) isFatal() bool {
	switch m.Level {
	case "Fatal error", "Parse error", "Compile error", "Recoverable fatal error":
		return true
	}
	return false
}

// cause returns the index of the message that best explains a failure, or -1 without one.
func cause(list []message) int {
	for i, m := range slices.Backward(list) {
		if m.isFatal() {
			return i
		}
	}
	return len(list) - 1
}
