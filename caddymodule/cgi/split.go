package cgi

import (
	"errors"
	"unicode/utf8"
)

// errSplitPath is returned for an extension that could never match.
var errSplitPath = errors.New("only ASCII characters are allowed; write an extension such as .php")

// splitter finds the end of the script's name in a path. Its entries are extensions
// in lower-case ASCII.
type splitter []string

// newSplitter converts the extensions to lower case. It returns errSplitPath if one
// of them is not ASCII.
func newSplitter(exts []string) (splitter, error) {
	lowered := make(splitter, len(exts))
	for i, ext := range exts {
		b := []byte(ext)
		for j, c := range b {
			if c >= utf8.RuneSelf {
				return nil, errSplitPath
			}
			b[j] = lower(c)
		}
		lowered[i] = string(b)
	}
	return lowered, nil
}

// next returns the end of the first name in path that ends with an extension and
// itself ends after the given position, or 0. A name ends at a slash, so PATH_INFO is
// empty or begins with one (RFC 3875 section 4.1.5), and class.phpmailer.php is not
// cut into class.php.
//
// It compares bytes of the original path, and ignores the case of ASCII letters
// only. An index into a lower-cased copy would be wrong where folding changes the
// length (GHSA-5r3v-vc8m-m96g), and Unicode folding would run a file as PHP whose
// name only looks like .php (GHSA-m675-2p33-xv9g, GHSA-3g8v-8r37-cgjm,
// GHSA-v4h7-cj44-8fc8).
func (s splitter) next(path string, after int) int {
	for end := after + 1; end <= len(path); end++ {
		if (end == len(path) || path[end] == '/') && s.hasScriptExt(path[:end]) {
			return end
		}
	}
	return 0
}

// split cuts path after the first script in it. Without one, the whole path is the
// script.
func (s splitter) split(path string) (script, info string) {
	if end := s.next(path, 0); end > 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// hasScriptExt reports whether the path ends with one of the extensions.
func (s splitter) hasScriptExt(path string) bool {
	for _, ext := range s {
		if ext != "" && len(path) >= len(ext) && equalFold(path[len(path)-len(ext):], ext) {
			return true
		}
	}
	return false
}

// equalFold reports whether s is lowered, except for the case of ASCII letters. The
// strings must have the same length, and lowered must be ASCII in lower case.
func equalFold(s, lowered string) bool {
	for i := range len(s) {
		if lower(s[i]) != lowered[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
