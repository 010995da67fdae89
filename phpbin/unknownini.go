package phpbin

import (
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/internal/nearest"
)

// UnknownSetting is an ini setting without a directive: a typing error, or a setting
// of an extension that is not loaded. PHP accepts it, and only get_cfg_var() sees it.
type UnknownSetting struct {
	Name string

	// Similar is the directive that is most like Name; "" if none is like it.
	Similar string
}

// unknownINI returns the settings for which a phpinfo() page shows no directive. The
// page is that of the same options, so extensions that they load are in it.
func unknownINI(page string, settings ...[]Setting) []UnknownSetting {
	directives := parseDirectives(page)
	if len(directives) == 0 {
		return nil // not a page that is understood
	}
	extensions := parseExtensions(page)
	var names []string
	for _, list := range settings {
		for _, s := range list {
			if _, known := slices.BinarySearch(directives, s.Name); !known && !loadsExtension(s.Name) &&
				!isHidden(s.Name, directives, extensions) {
				names = append(names, s.Name)
			}
		}
	}
	slices.Sort(names)
	var unknown []UnknownSetting
	for _, name := range slices.Compact(names) {
		// A copy, because the page is large.
		unknown = append(unknown, UnknownSetting{name, strings.Clone(nearest.Name(name, directives))})
	}
	return unknown
}

// loadsExtension reports whether php.ini loads an extension by this name, which is
// not a directive (main/php_ini.c).
func loadsExtension(name string) bool {
	switch strings.ToLower(name) {
	case "extension", "zend_extension", "zend_extension_ts", "zend_extension_debug", "zend_extension_debug_ts":
		return true
	}
	return false
}

// isHidden reports whether name may be a directive of a loaded extension that shows
// none of its directives, as mysqlnd.
func isHidden(name string, directives, extensions []string) bool {
	extension, _, dotted := strings.Cut(name, ".")
	isLoaded := func(other string) bool { return strings.EqualFold(other, extension) }
	showsSome := func(other string) bool { return strings.HasPrefix(other, extension+".") }
	return dotted && slices.ContainsFunc(extensions, isLoaded) && !slices.ContainsFunc(directives, showsSome)
}
