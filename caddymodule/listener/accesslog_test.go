package listener

import (
	"strings"
	"testing"
	"time"
)

func TestAccessLog_Format(t *testing.T) {
	for _, format := range []string{
		`%R - %u %t "%m %r" %s`, "", "text", "100%%", `%{milli}d %{Kilo}M %{total}C%% %{HTTP_HOST}e %{X-A}o %{%H:%M}T %Q%q%p%P%n%l%f`,
	} {
		tokens, err := parseAccessFormat(format)
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
		var again strings.Builder
		for _, token := range tokens {
			again.WriteString(token.text)
			if token.verb != 0 {
				again.WriteByte('%')
				if token.modifier != "" {
					again.WriteString("{" + token.modifier + "}")
				}
				again.WriteByte(token.verb)
			}
		}
		if again.String() != format {
			t.Errorf("%s was read as %s", format, again.String())
		}
	}
	for _, format := range []string{"%", "%y", "%{milli", "%{milli}", "%{hours}d", "%{tera}M", "%{a}C", "%e", "%o"} {
		if _, err := parseAccessFormat(format); err == nil {
			t.Errorf("%s: got no error", format)
		}
	}
}

func TestAccessLog_Times(t *testing.T) {
	at := time.Date(2026, 1, 8, 9, 46, 7, 0, time.FixedZone("", 3600))
	for format, want := range map[string]string{
		"": "08/Jan/2026:09:46:07 +0100", "%F %T": "2026-01-08 09:46:07", "%s": "1767861967", "100%%": "100%", "at %H h": "at 09 h",
	} {
		if got := formatTime(at, format); got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
	for unit, want := range map[string]string{"": "1.234", "seconds": "1.234", "milli": "1234.500", "micro": "1234500"} {
		if got := formatDuration(1234500*time.Microsecond, unit); got != want {
			t.Errorf("%s: got %s, want %s", unit, got, want)
		}
	}
}
