package doctor

import (
	"os"
	"regexp"
	"strings"
)

// What php-cgi says when it cannot do what its ini files ask.
var (
	missingLibrary       = regexp.MustCompile(`Unable to load dynamic library '([^']+)'`)
	missingZendExtension = regexp.MustCompile(`Failed loading (?:Zend extension '([^']+)'|(\S+):)`)
	loadedTwice          = regexp.MustCompile(`Module "([^"]+)" is already loaded`)
	syntaxError          = regexp.MustCompile(`syntax error.* in (\S+) on line (\d+)`)
	missingPreloadUser   = regexp.MustCompile(`"opcache\.preload_user" has not been defined`)
	missingSharedLibrary = regexp.MustCompile(`error while loading shared libraries: ([^:]+):`)
	lockFileFailed       = regexp.MustCompile(`Unable to create lock file`)
	badValue             = regexp.MustCompile(`Invalid "([^"]+)" setting`)
)

// remedyFor says what to do about a complaint of php-cgi; "" if that is not known.
// files are the ini files that it has read.
func remedyFor(warning string, files []string) string {
	if m := missingLibrary.FindStringSubmatch(warning); m != nil {
		return missingExtension(m[1], files)
	}
	if m := missingZendExtension.FindStringSubmatch(warning); m != nil {
		return missingExtension(m[1]+m[2], files)
	}
	if m := loadedTwice.FindStringSubmatch(warning); m != nil {
		return "take it out of all but one of " + orNone(strings.Join(filesLoading(m[1], files), ", "))
	}
	if m := syntaxError.FindStringSubmatch(warning); m != nil {
		return "correct line " + m[2] + " of " + m[1] + ": a value with any of ;()&|^~!{} or = needs double quotes"
	}
	if missingPreloadUser.MatchString(warning) {
		return "write `ini opcache.preload_user www-data`, or run the pool as another user than root"
	}
	if m := missingSharedLibrary.FindStringSubmatch(warning); m != nil {
		return "install the package that has " + m[1] + ", or php-cgi anew"
	}
	if lockFileFailed.MatchString(warning) {
		return "write `ini opcache.lockfile_path <a directory that PHP's user can write to>`"
	}
	if m := badValue.FindStringSubmatch(warning); m != nil {
		return "give " + m[1] + " a value such as 128M"
	}
	return ""
}

// missingExtension says how to come by an extension or to do without.
func missingExtension(name string, files []string) string {
	short := extensionName(name)
	remedy := "install it (Debian, Ubuntu: apt install php-" + short + ")"
	if where := filesLoading(short, files); len(where) > 0 {
		return remedy + ", or take it out of " + strings.Join(where, ", ")
	}
	return remedy + ", or take the line out that loads it"
}

// extensionName is "redis" for redis.so, php_redis.dll and a path to it.
func extensionName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.TrimPrefix(name, "php_")
	return strings.TrimSuffix(strings.TrimSuffix(name, ".so"), ".dll")
}

// filesLoading lists the ini files that load an extension.
func filesLoading(name string, files []string) []string {
	var where []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // what cannot be read is told elsewhere
		}
		for _, s := range parseINI(string(text)) {
			if (s.name == "extension" || s.name == "zend_extension") && extensionName(s.value) == extensionName(name) {
				where = append(where, file)
				break
			}
		}
	}
	return where
}
