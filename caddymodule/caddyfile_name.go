package caddymodule

import "strings"

// nameFromRoot returns a name for a pool: the first root that is not empty, with one
// `-` for each part without ASCII letters, digits, dots and underscores. The host would be a
// better name, but Caddy does not pass it to directives.
func nameFromRoot(roots ...string) string {
	isOther := func(r rune) bool {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return false
		}
		return true
	}
	for _, root := range roots {
		if parts := strings.FieldsFunc(root, isOther); len(parts) > 0 {
			return strings.Join(parts, "-")
		}
	}
	return "site"
}
