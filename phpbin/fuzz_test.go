package phpbin

import (
	"html"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzInfo parses any text as a phpinfo() page, which contains paths, values of
// php.ini and the environment.
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
		// A row must be parsed as it was written.
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

// FuzzVersion parses any text as the output of php -v, as the name of a php-cgi, and
// as a size of php.ini.
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
		if ok && (v.Compare(Version{v.Major, v.Minor, v.Patch}) != 0 || !v.AtLeast(v.Major, v.Minor, v.Patch)) {
			t.Errorf("%v does not equal itself", v)
		}
		if c, ok := parseName(text); ok && (c.major < -1 || c.minor < -1 || !c.plain && c.major < 0) {
			t.Errorf("got %+v", c)
		}
		n := parseBytes(text)
		if negative := strings.Contains(text, "-"); n < -1 || n == -1 && !negative {
			t.Errorf("got %d bytes", n)
		}
		// A unit must not make a size smaller.
		if plain := parseBytes(strings.TrimRight(text, "KkMmGgBb ")); plain > 0 && n < plain {
			t.Errorf("got %d bytes, without the unit %d", n, plain)
		}
	})
}

// scanned parses a value after -d name= as PHP does (sapi/cgi/cgi_main.c, case 'd',
// and Zend/zend_ini_scanner.l), for the part of the grammar that quoteINI uses.
// special reports that it is something else than a plain value.
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

// FuzzQuoteINI checks that PHP reads any value of an ini directive as it is, and not
// as a second directive, a variable or a comment.
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
			// PHP evaluates it. Its characters must allow only a number.
			if strings.Trim(written, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789 ()|&^~!") != "" || !isAlnum(written[0]) {
				t.Errorf("%q is quoted as %q", value, written)
			}
			return
		}
		if got, special := scanned(written); special || got != value {
			t.Errorf("%q is quoted as %q, which PHP reads as %q (special: %v)", value, written, got, special)
		}
	})
}
