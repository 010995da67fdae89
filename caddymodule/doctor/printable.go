package doctor

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text safe for a terminal: it replaces control characters,
// which could move the cursor or change colors, by U+FFFD. URIs, names of scripts
// and PHP's output are untrusted.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}
