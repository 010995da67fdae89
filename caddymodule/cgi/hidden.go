package cgi

import (
	"strings"
)

// isSensitive reports whether a path that does not run is nobody's business: source
// of PHP, a copy of it, settings, a dump, or anything whose name begins with a
// dot. The handler asks when it would pass a request on, to file_server as a
// rule, so what PHP itself answers costs nothing.
//
// It judges by the name alone, so that it costs no system call and cannot be
// asked whether a file is there. It errs on the hiding side: a backslash and
// trailing dots and spaces count as they do for Windows on every system.
// path is clean.
func (s splitter) isSensitive(path string) bool {
	begin, last := 0, ""
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' && path[i] != '\\' {
			continue
		}
		if name := path[begin:i]; name != "" {
			// RFC 8615: only there has it a meaning.
			if name[0] == '.' && (begin != 1 || name != ".well-known") {
				return true
			}
			last = name // also of a file that is asked for as a directory
		}
		begin = i + 1
	}
	return s.isSensitiveName(last)
}

// isSensitiveName judges the last part of a path.
func (s splitter) isSensitiveName(name string) bool {
	name = strings.TrimRight(name, ". ")
	if strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return true // what Emacs, Vim, nano and others leave
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	ending := name[dot+1:]
	if containsExt(ending, sensitiveExts) {
		return true
	}
	if s.containsScriptExt(name) && !containsExt(ending, publicExts) {
		return true // index.php.bak, index.php_old, index.phps, index.php::$DATA
	}
	return strings.EqualFold(name, "composer.json") || strings.EqualFold(name, "composer.lock")
}

// sensitiveExts are PHP under another name (inc, phar, pht, phtml; those that
// begin with "php" are found by that), settings that PHP reads (ini), what
// editors and people leave beside a file (bak, old, orig, save, swo, swp), and
// dumps of databases (sql).
var sensitiveExts = []string{
	"bak", "inc", "ini", "old", "orig", "phar", "pht", "phtml", "save", "sql", "swo", "swp",
}

// publicExts are those of pages and of what they are made of: a style.php.css,
// or an upload called photo.php.jpg, is no source.
var publicExts = []string{
	"avif", "css", "gif", "htm", "html", "ico", "jpeg", "jpg", "js", "mjs", "pdf", "png", "svg", "webp",
}

// containsExt compares as file systems that do not mind case would.
func containsExt(ending string, list []string) bool {
	for _, one := range list {
		if strings.EqualFold(ending, one) {
			return true
		}
	}
	return false
}

// containsScriptExt reports whether .php, or another ending of scripts, stands anywhere
// in a name.
func (s splitter) containsScriptExt(name string) bool {
	if containsFold(name, ".php") {
		return true
	}
	for _, at := range s {
		if at != "" && containsFold(name, at) {
			return true
		}
	}
	return false
}

// containsFold looks for an ASCII string in lower case.
func containsFold(name, lowered string) bool {
	for i := 0; i+len(lowered) <= len(name); i++ {
		if equalFold(name[i:i+len(lowered)], lowered) {
			return true
		}
	}
	return false
}
