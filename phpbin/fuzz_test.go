package phpbin

import (
	"html"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzInfo reads any page for that of phpinfo(). It is php-cgi's own, but what
// is in it (paths, values of php.ini, the environment) may be anybody's.
func FuzzInfo(f *testing.F) {
	row := func(name, value string) string {
		return `<tr><td class="e">` + name + ` </td><td class="v">` + value + " </td></tr>\n"
	}
	f.Add(row("Thread Safety", "disabled")+row("memory_limit", "128M</td><td class=\"v\">128M"), "a", "b")
	f.Add(row("Additional .ini files parsed", "/etc/a.ini,\n/etc/b.ini\n")+row("Loaded Configuration File", "(none)"), "<b>", "&amp;")
	f.Add(`<tr><td class="e">`+row("a", "b"), "memory_limit", "-1")
	f.Fuzz(func(t *testing.T, page, name, value string) {
		var b Binary
		b.readRows(parsePHPInfo(page))
		if b.MemoryLimit < -1 || b.JIT && !b.OPcache || slices.Contains(b.ScannedFiles, "") {
			t.Errorf("read %+v", b)
		}
		// A row is read as it was written, whatever stands in it.
		trimmed := strings.TrimSpace(html.UnescapeString(html.EscapeString(name)))
		if strings.Contains(name, "\n") || !utf8.ValidString(name+value) {
			return
		}
		rows := parsePHPInfo(row(html.EscapeString(name), html.EscapeString(value)))
		if got, ok := rows[trimmed]; !ok || got != strings.TrimSpace(value) || len(rows) != 1 {
			t.Errorf("%q with %q: got %q", name, value, rows)
		}
	})
}

// FuzzVersion reads any text as what php -v writes, and as a size of php.ini.
func FuzzVersion(f *testing.F) {
	f.Add("PHP 8.2.36 (cgi-fcgi) (built: Nov 18 2026)\nCopyright")
	f.Add("PHP 7.4.3-4ubuntu2.24 (cgi-fcgi) (built: x)")
	f.Add("PHP 99999999999999999999.2.3 (cgi-fcgi) (built: x)")
	f.Add("128M")
	f.Add("8796093022208G")
	f.Add(" 1 kb")
	f.Fuzz(func(t *testing.T, text string) {
		v, full, sapi, ok := parseVersion(text)
		if ok != (sapi != "") || ok != strings.HasPrefix(full, v.String()) || v.Major < 0 || v.Minor < 0 || v.Patch < 0 {
			t.Errorf("got %v, %q, %q, %v", v, full, sapi, ok)
		}
		if ok && (v.Compare(v) != 0 || !v.AtLeast(v.Major, v.Minor, v.Patch)) {
			t.Errorf("%v is not as new as itself", v)
		}
		if c, ok := parseName(text); ok && (c.major < -1 || c.minor < -1 || !c.plain && c.major < 0) {
			t.Errorf("got %+v", c)
		}
		n := parseBytes(text)
		if negative := strings.Contains(text, "-"); n < -1 || n == -1 && !negative {
			t.Errorf("%d bytes", n)
		}
		// A unit never makes a size smaller.
		if plain := parseBytes(strings.TrimRight(text, "KkMmGgBb ")); plain > 0 && n < plain {
			t.Errorf("%d bytes, without a unit %d", n, plain)
		}
	})
}

// scanned is what php makes of a value behind -d name=, by the rules of
// sapi/cgi/cgi_main.c (case 'd') and Zend/zend_ini_scanner.l, for as much of
// their grammar as quoteINI uses; special says that something else stood there.
func scanned(written string) (value string, special bool) {
	if written != "" && !strings.ContainsRune(`"'`, rune(written[0])) && !isAlnum(written[0]) {
		written = `"` + written + `"`
	}
	var b strings.Builder
	for written != "" {
		switch q := written[0]; q {
		case '\'', '"':
			text, rest, ok := strings.Cut(written[1:], string(q))
			if !ok || text == "" || q == '"' && strings.ContainsAny(text, "\\$\n") {
				return "", true
			}
			b.WriteString(text)
			written = rest
		default:
			if strings.IndexByte("\t\n\r ;#&|^~!(){}[]=$\\`?<>*", q) >= 0 || q < ' ' || q >= 0x7f {
				return "", true
			}
			b.WriteByte(q)
			written = written[1:]
		}
	}
	return b.String(), false
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// FuzzQuoteINI: no value of an ini directive can become anything else than
// itself: neither a second directive, nor a variable, nor a comment.
func FuzzQuoteINI(f *testing.F) {
	for _, s := range []string{"", "plain", "it's", "${HOME}", "a\nextension=/tmp/x.so", "E_ALL & ~E_NOTICE", "'", `\'`, "/a:/b", "a;b", "\"x\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if (Setting{"a", value}).validate() != nil {
			return // a NUL
		}
		written := quoteINI(value)
		if expressionINI.MatchString(value) && !bareINI.MatchString(value) {
			// It is meant to be computed. All that can be in it computes a number.
			if strings.Trim(written, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789 ()|&^~!") != "" || !isAlnum(written[0]) {
				t.Errorf("%q becomes %q", value, written)
			}
			return
		}
		if got, special := scanned(written); special || got != value {
			t.Errorf("%q is written %q, which is read as %q (special: %v)", value, written, got, special)
		}
	})
}
