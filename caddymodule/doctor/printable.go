package doctor

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text safe for a terminal: what would move its cursor, colour
// it or say something to it is shown as U+FFFD. URIs, scripts' names and what
// PHP wrote come from outside.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}
