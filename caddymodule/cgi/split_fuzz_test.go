package cgi

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzSplit splits any path: not a byte is lost, and what is run ends with one
// of the extensions, in ASCII.
func FuzzSplit(f *testing.F) {
	f.Add("/a.php/b/c", ".php")
	f.Add("/Ⱥ.txt.php/x.php", ".PHP")
	f.Add("/shell.ｐｈｐ", ".php")
	f.Add("/a.phpx/b.php", ".php")
	f.Fuzz(func(t *testing.T, path, at string) {
		s, err := newSplitter([]string{at, ".php"})
		if err != nil {
			return
		}
		for way, split := range map[string]func(string) (string, string){"split": s.split, "splitFile": s.splitFile} {
			script, info := split(path)
			if script+info != path {
				t.Errorf("%s: %q becomes %q and %q", way, path, script, info)
			}
			if info != "" && !s.hasScriptExt(script) {
				t.Errorf("%s: %q becomes the script %q", way, path, script)
			}
		}
		script, _ := s.split(path)
		if s.hasScriptExt(script) {
			tail := strings.ToLower(script[max(0, len(script)-max(len(at), 4)):])
			if !strings.HasSuffix(tail, ".php") && !strings.HasSuffix(tail, strings.ToLower(at)) {
				t.Errorf("%q passes for a script", script)
			}
		} else if plain := strings.ToLower(path); strings.Contains(plain, ".php") && strings.IndexFunc(path, notASCII) < 0 {
			t.Errorf("%q has no script", path)
		}
	})
}

func notASCII(r rune) bool { return r > unicode.MaxASCII }
