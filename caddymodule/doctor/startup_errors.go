package doctor

import (
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Messages of php-cgi when it starts and cannot apply its ini files.
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

// remedyFor returns the remedy for a startup warning or error of php-cgi, or "" for
// an unknown one. files are the ini files that php-cgi has read.
func remedyFor(warning string, files []string) string {
	if m := missingLibrary.FindStringSubmatch(warning); m != nil {
		return missingExtension(m[1], files)
	}
	if m := missingZendExtension.FindStringSubmatch(warning); m != nil {
		return missingExtension(m[1]+m[2], files)
	}
	if m := loadedTwice.FindStringSubmatch(warning); m != nil {
		return "remove it from all but one of " + orNone(strings.Join(filesLoading(m[1], files), ", "))
	}
	if m := syntaxError.FindStringSubmatch(warning); m != nil {
		return "correct line " + m[2] + " of " + m[1] + ": quote a value that has any of ;()&|^~!{}="
	}
	if missingPreloadUser.MatchString(warning) {
		return "write `ini opcache.preload_user www-data`, or run the pool as a user other than root"
	}
	if m := missingSharedLibrary.FindStringSubmatch(warning); m != nil {
		return "install the package that has " + m[1] + ", or reinstall php-cgi"
	}
	if lockFileFailed.MatchString(warning) {
		return "write `ini opcache.lockfile_path <dir>` with a directory that PHP's user can write to"
	}
	if m := badValue.FindStringSubmatch(warning); m != nil {
		return "set " + m[1] + " to a value such as 128M"
	}
	return ""
}

// missingExtension says how to install an extension, or which line to remove.
func missingExtension(name string, files []string) string {
	short := extensionName(name)
	remedy := extensionRemedy(runtime.GOOS, short)
	if where := filesLoading(short, files); len(where) > 0 {
		return remedy + ", or remove it from " + strings.Join(where, ", ")
	}
	return remedy + ", or remove the line that loads it"
}

// extensionName returns redis for redis.so, php_redis.dll and a path to either.
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
			continue // iniFiles reports files that cannot be read
		}
		for _, s := range phpbin.ParseINI(string(text)) {
			if (s.Name == "extension" || s.Name == "zend_extension") && extensionName(s.Value) == extensionName(name) {
				where = append(where, file)
				break
			}
		}
	}
	return where
}
