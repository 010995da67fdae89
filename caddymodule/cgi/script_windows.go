package cgi

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// unsafeName reports whether a script's name means another file to Windows
// than it says: an alternate data stream (x.php::$DATA), an 8.3 alias, or a
// backslash.
func unsafeName(name string) bool {
	return strings.ContainsAny(name, `:\`) || caddyhttp.HasWindowsShortName(name)
}
