package cgi

import (
	"errors"
	"testing"
)

func TestSplit_Paths(t *testing.T) {
	for _, c := range []struct {
		name, path   string
		exts         []string
		script, info string
	}{
		{"no info", "/a.php", []string{".php"}, "/a.php", ""},
		{"info", "/a.php/b/c", []string{".php"}, "/a.php", "/b/c"},
		{"first occurrence", "/a.php/b.php", []string{".php"}, "/a.php", "/b.php"},
		{"case does not matter", "/A.PhP/b", []string{".php"}, "/A.PhP", "/b"},
		{"second entry", "/a.phtml/b", []string{".php", ".phtml"}, "/a.phtml", "/b"},
		{"no extension", "/a/b", []string{".php"}, "/a/b", ""},
		{"empty entry", "/a/b", []string{""}, "/a/b", ""},
		// A lower-cased copy may have another length than the original, so an index
		// into it would cut the path at the wrong place.
		{"GHSA-5r3v-vc8m-m96g", "/Ⱥ.txt.php/x.php", []string{".php"}, "/Ⱥ.txt.php", "/x.php"},
		{"GHSA-5r3v-vc8m-m96g, İ", "/İİ.php/x.txt.php", []string{".php"}, "/İİ.php", "/x.txt.php"},
		{"an extension inside a name", "/class.phpmailer.php/x", []string{".php"}, "/class.phpmailer.php", "/x"},
		{"an extension before another name", "/a.php.d/b.php", []string{".php"}, "/a.php.d/b.php", ""},
		{"an extension inside the last name", "/a.phpx", []string{".php"}, "/a.phpx", ""},
		{"a copy", "/a.php.bak", []string{".php"}, "/a.php.bak", ""},
		{"a longer extension", "/a.php5", []string{".php", ".php5"}, "/a.php5", ""},
		{"the first of two extensions", "/a.phtml/b.php", []string{".php", ".phtml"}, "/a.phtml", "/b.php"},
		{"a slash", "/a.php/", []string{".php"}, "/a.php", "/"},
		// Letters that fold to ASCII must not match.
		{"GHSA-m675-2p33-xv9g, fullwidth", "/shell.ｐｈｐ", []string{".php"}, "/shell.ｐｈｐ", ""},
		{"GHSA-3g8v-8r37-cgjm, mathematical", "/shell.𝗽𝗵𝗽", []string{".php"}, "/shell.𝗽𝗵𝗽", ""},
		{"GHSA-v4h7-cj44-8fc8, long s", "/x.ſh", []string{".sh"}, "/x.ſh", ""},
		{"Kelvin sign", "/x.K", []string{".k"}, "/x.K", ""},
	} {
		s, err := newSplitter(c.exts)
		if err != nil {
			t.Fatal(err)
		}
		if script, info := s.split(c.path); script != c.script || info != c.info {
			t.Errorf("%s: %q at %q: got %q and %q, want %q and %q",
				c.name, c.path, c.exts, script, info, c.script, c.info)
		}
	}
}

func TestSplit_NotASCII(t *testing.T) {
	if _, err := newSplitter([]string{".pɥp"}); !errors.Is(err, errSplitPath) {
		t.Errorf("got %v, want errSplitPath", err)
	}
}
