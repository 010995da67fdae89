package fpmconf

import (
	"strings"
	"testing"
)

// TestParseValue_AsPHP has what `php-fpm -tt` 8.2 prints for each value.
func TestParseValue_AsPHP(t *testing.T) {
	for _, c := range [][2]string{
		{"a b  c ; d", "a b  c"},
		{`a 'b c '`, "a b c "},
		{"a;b", "a"},
		{`"a;b" ; x`, "a;b"},
		{`"a" b`, "ab"},
		{`a "b"  c`, "abc"},
		{`"a\\b\$c\"\n"`, `a\b$c"\n`},
		{`'a' b`, "a b"},
		{`'a' "b"`, "ab"},
		{`"a" 'b' ; c`, "ab"},
		{"a'b'c", "abc"},
		{"a  ${HOME}  b", "a  <HOME>  b"},
		{`a\b`, `a\b`},
		{"{a}", "{a}"},
		{"x#y", "x#y"},
		{"On", "1"},
		{"None", ""},
		{"null", ""},
		{`"null"`, "null"},
		{"nothing", "nothing"},
		{"off-x", "off-x"},
		{"5 | 2", "7"},
		{"~E_ALL", "-32768"},
		{"E_ALL", "32767"},
		{"E_ALL & ~E_DEPRECATED & ~E_STRICT", "22527"},
		{"E_ALL^E_NOTICE", "32759"},
		{"-1", "-1"},
		{"50%", "50%"},
		{"$HOME/x", "$HOME/x"},
		{"${HOME}/x", "<HOME>/x"},
		{`"q${HOME}x"`, "q<HOME>x"},
		{"/usr/sbin/sendmail -t -i -f www@example.com", "/usr/sbin/sendmail -t -i -f www@example.com"},
	} {
		got, err := parseValue(c[0])
		if strings.Count(got, mark) == 2 {
			got = strings.Replace(strings.Replace(got, mark, "<", 1), mark, ">", 1)
		}
		if got != c[1] || err != nil {
			t.Errorf("%s: got %q, %v, want %q", c[0], got, err, c[1])
		}
	}
	for _, bad := range []string{`"a`, `'a`, "it's", "a\x00b", "a\rb", "1 + ! 2", "a|b", "(a)", "a=b", `a|"b"`} {
		if got, err := parseValue(bad); err == nil {
			t.Errorf("%q: got %q and no error", bad, got)
		}
	}
}
