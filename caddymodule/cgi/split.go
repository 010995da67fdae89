package cgi

import (
	"errors"
	"unicode/utf8"
)

// errSplitPath: a split that is not plain ASCII can never match.
var errSplitPath = errors.New("split must be plain ASCII characters")

// splitter finds where the script's name ends in a path. Its entries are
// lower-case ASCII.
type splitter []string

// newSplitter lowers the case of the configured entries.
func newSplitter(paths []string) (splitter, error) {
	lowered := make(splitter, len(paths))
	for i, s := range paths {
		b := []byte(s)
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

// split cuts path behind the first occurrence of an entry: the script, and
// PATH_INFO. Without one, the whole path is the script.
//
// The comparison is byte by byte on the original path, case-insensitive for
// ASCII only. Searching a lower-cased copy moves the index when folding changes
// a length (GHSA-5r3v-vc8m-m96g), and Unicode folding lets a file whose name
// merely looks like .php run as PHP (GHSA-m675-2p33-xv9g, GHSA-3g8v-8r37-cgjm,
// GHSA-v4h7-cj44-8fc8).
func (s splitter) split(path string) (script, info string) {
	for _, at := range s {
		for i := 0; at != "" && i+len(at) <= len(path); i++ {
			if equalFold(path[i:i+len(at)], at) {
				return path[:i+len(at)], path[i+len(at):]
			}
		}
	}
	return path, ""
}

// splitFile is split for candidates of try_files: an entry counts only at the
// end of a path component, as in Caddy's file matcher.
func (s splitter) splitFile(path string) (script, info string) {
	for _, at := range s {
		for i := 0; at != "" && i+len(at) <= len(path); i++ {
			end := i + len(at)
			if equalFold(path[i:end], at) && (end == len(path) || path[end] == '/') {
				return path[:end], path[end:]
			}
		}
	}
	return path, ""
}

// hasScriptExt reports whether the path ends with one of the entries.
func (s splitter) hasScriptExt(path string) bool {
	for _, at := range s {
		if at != "" && len(path) >= len(at) && equalFold(path[len(path)-len(at):], at) {
			return true
		}
	}
	return false
}

// equalFold compares with an ASCII string in lower case.
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
