package vhosts

import "regexp"

// scriptExts are extensions that servers may run as PHP.
var scriptExts = []string{".php", ".php3", ".php4", ".php5", ".php7", ".php8", ".phtml", ".pht", ".phar", ".inc"}

// selection is which scripts a pattern selects.
type selection struct {
	exts []string // of the scripts
	// all is true if it selects each of them, in every directory.
	all bool
}

// selectScripts returns the scripts that a regular expression selects, of paths or of
// names of files. ok is false if it selects none, or other files too, or if it cannot be
// read: Go has no lookahead.
func selectScripts(pattern string, isPath, foldCase bool) (s selection, ok bool) {
	if foldCase {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return s, false
	}
	names := []string{"index", "a", "post-2"}
	if isPath {
		names = []string{"/index", "/a", "/wp-admin/post-2", "/a/b/c/index"}
	}
	for _, other := range []string{".css", ".html", ".jpg", ""} {
		if re.MatchString(names[0]+other) || re.MatchString(names[2]+other) {
			return s, false
		}
	}
	s.all = true
	for _, ext := range scriptExts {
		n := 0
		for _, name := range names {
			if re.MatchString(name + ext) {
				n++
			}
		}
		if n > 0 {
			s.exts = append(s.exts, ext)
			s.all = s.all && n == len(names)
		}
	}
	if len(s.exts) == 0 {
		return s, false
	}
	return s, true
}

// hiddenPath and hiddenName match regular expressions of which every match has a name
// that begins with a dot, except .well-known, or is a copy of PHP source.
var (
	hiddenPath = regexp.MustCompile(`^\^?(?:\.\*|\(\^\|/\))?/\\\.(?:[^w]|$)|\\\.phps\$$`)
	hiddenName = regexp.MustCompile(`^\^\\\.|\\\.phps\$$`)
	// hiddenPlain matches paths and wildcards.
	hiddenPlain = regexp.MustCompile(`^/?\.(?:ht|git|svn|env)`)
)

// hidesPath reports whether hide_sensitive hides everything that a regular expression of
// paths selects.
func hidesPath(pattern string) bool { return hiddenPath.MatchString(pattern) && !alternates(pattern) }

// hidesName is hidesPath for names of files.
func hidesName(pattern string) bool { return hiddenName.MatchString(pattern) && !alternates(pattern) }

// alternates reports whether a regular expression has a bar outside of its groups.
func alternates(pattern string) bool {
	depth := 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				return true
			}
		}
	}
	return false
}
