package cgi

import "strings"

// isSensitive reports whether a path names a file that should not be public: PHP
// source, a backup of it, settings, a database dump, or a name that begins with a
// dot. path must be clean. The handler calls it before it passes a request to the
// next handler, usually file_server, but not for scripts.
//
// Only the name counts, so that no system call is needed and the response does not
// disclose whether the file exists. Windows ignores trailing dots and spaces and
// separates names with backslashes; isSensitive does so on every system.
func (s splitter) isSensitive(path string) bool {
	begin, last := 0, ""
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' && path[i] != '\\' {
			continue
		}
		if name := path[begin:i]; name != "" {
			// RFC 8615 defines .well-known at the top of a site only.
			if name[0] == '.' && (begin != 1 || name != ".well-known") {
				return true
			}
			last = name // kept if a slash follows: /config.inc/ is sensitive too
		}
		begin = i + 1
	}
	return s.isSensitiveName(last) || strings.EqualFold(last, "auth.json") && !hasLanguageDir(path)
}

// isSensitiveName is isSensitive for the last component of a path.
func (s splitter) isSensitiveName(name string) bool {
	name = strings.TrimRight(name, ". ")
	if strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return true // backups of Emacs, Vim, nano and others
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	ext := name[dot+1:]
	if containsName(sensitiveExts, ext) {
		return true
	}
	if !containsName(publicExts, ext) {
		if s.containsScriptExt(name) || containsFold(name, ".sql.") || containsFold(name, ".ini.") {
			return true // index.php.bak, index.php_old, index.phps, index.php::$DATA, dump.sql.gz, php.ini.dist
		}
	} else if s.containsScriptExt(name) && (containsFold(name, "config") || containsFold(name, "settings")) {
		return true // wp-config.php.html: no page has such a name
	}
	return hasPrefixFold(name, "parameters.yml") || containsName(sensitiveNames, name)
}

// sensitiveExts are the extensions of PHP source under other names (those that
// begin with "php" contain a script extension) and of templates, also those of Drupal and
// CakePHP; of PHP's settings (ini); of backups and swap files; and of databases and
// their dumps.
var sensitiveExts = []string{
	"class", "ctp", "engine", "inc", "install", "module", "phar", "pht", "phtml", "profile", "theme", "tpl", "twig", "xtmpl",
	"ini",
	"bak", "old", "orig", "save", "swo", "swp",
	"db", "dump", "mysql", "pgsql", "psql", "sql", "sqlite", "sqlite3",
}

// sensitiveNames are the files that list the libraries of a site, with their versions,
// and the settings of IIS, which can have passwords.
var sensitiveNames = []string{"composer.json", "composer.lock", "symfony.lock", "web.config"}

// hasLanguageDir reports whether a directory in the path has the name of those for
// translations. Composer keeps passwords in auth.json, but /locales/en/auth.json has the
// texts of a login page.
func hasLanguageDir(path string) bool {
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if containsName(languageDirs, name) {
			return true
		}
	}
	return false
}

var languageDirs = []string{"i18n", "l10n", "lang", "langs", "languages", "locale", "locales", "messages", "translations"}

func hasPrefixFold(s, lowered string) bool {
	return len(s) >= len(lowered) && equalFold(s[:len(lowered)], lowered)
}

// publicExts are the extensions of pages and their assets. They make a name that
// contains .php public: style.php.css, or an upload called photo.php.jpg.
var publicExts = []string{
	"avif", "css", "gif", "htm", "html", "ico", "jpeg", "jpg", "js", "mjs", "pdf", "png", "svg", "webp",
}

// containsName ignores case as case-insensitive file systems do: beyond ASCII.
func containsName(list []string, ext string) bool {
	for _, e := range list {
		if strings.EqualFold(ext, e) {
			return true
		}
	}
	return false
}

// containsScriptExt reports whether a name contains .php or another script extension
// at any place.
func (s splitter) containsScriptExt(name string) bool {
	if containsFold(name, ".php") {
		return true
	}
	for _, ext := range s {
		if ext != "" && containsFold(name, ext) {
			return true
		}
	}
	return false
}

// containsFold reports whether s contains lowered, which is ASCII in lower case. It
// ignores the case of ASCII letters.
func containsFold(s, lowered string) bool {
	for i := 0; i+len(lowered) <= len(s); i++ {
		if equalFold(s[i:i+len(lowered)], lowered) {
			return true
		}
	}
	return false
}
