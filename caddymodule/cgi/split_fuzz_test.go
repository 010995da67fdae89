package cgi

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzSplit checks that the parts of any path make up the path, and that a script
// ends with one of the extensions, in ASCII.
func FuzzSplit(f *testing.F) {
	f.Add("/a.php/b/c", ".php")
	f.Add("/Ⱥ.txt.php/x.php", ".PHP")
	f.Add("/shell.ｐｈｐ", ".php")
	f.Add("/a.phpx/b.php", ".php")
	f.Fuzz(func(t *testing.T, path, ext string) {
		s, err := newSplitter([]string{ext, ".php"})
		if err != nil {
			return
		}
		script, info := s.split(path)
		if script+info != path {
			t.Errorf("%q becomes %q and %q", path, script, info)
		}
		if info != "" && (!s.hasScriptExt(script) || info[0] != '/') {
			t.Errorf("%q becomes the script %q with %q", path, script, info)
		}
		if s.hasScriptExt(script) {
			tail := strings.ToLower(script[max(0, len(script)-max(len(ext), 4)):])
			if !strings.HasSuffix(tail, ".php") && !strings.HasSuffix(tail, strings.ToLower(ext)) {
				t.Errorf("%q is a script, but does not end with an extension", script)
			}
		} else if plain := strings.ToLower(path) + "/"; strings.Contains(plain, ".php/") && strings.IndexFunc(path, notASCII) < 0 {
			t.Errorf("%q has no script", path)
		}
	})
}

func notASCII(r rune) bool { return r > unicode.MaxASCII }
