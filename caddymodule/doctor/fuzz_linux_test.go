package doctor

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// FuzzFiles parses arbitrary text as ini file and systemd unit, and as output of
// php-cgi.
func FuzzFiles(f *testing.F) {
	f.Add("[Service]\nKillMode=mixed\nTimeoutStopSec=5min\nUser=caddy\n")
	f.Add("memory_limit = \"128M\" ; x\n[PATH=/srv]\na=b\n[opcache]\nextension=redis.so\n")
	f.Add("PHP Warning:  PHP Startup: Unable to load dynamic library 'redis' (tried: a) in Unknown on line 0")
	f.Add("Failed loading /usr/lib/php/xdebug.so:  no such file")
	f.Add("=\n;=\n[\n'=\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range phpbin.ParseINI(text) {
			if strings.ContainsAny(s.Name+s.Value, "\n") || !strings.Contains(text, s.Name) || !strings.Contains(text, s.Value) {
				t.Errorf("%q: got setting %q with value %q", text, s.Name, s.Value)
			}
		}
		u := unit{service: map[string]string{}}
		u.read(text)
		if len(u.service) > 0 && !strings.Contains(text, "[Service]") {
			t.Errorf("%q: got settings %q without a section [Service]", text, u.service)
		}
		if d, ok := unitTime(u.service["TimeoutStopSec"]); ok && d <= 0 {
			t.Errorf("%q: got duration %v", text, d)
		}
		remedyFor(text, nil)
		shown := Printable(text)
		if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
			t.Errorf("%q: got %q, which has control characters", text, shown)
		}
	})
}
