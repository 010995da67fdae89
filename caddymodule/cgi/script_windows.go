package cgi

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// unsafeName reports whether Windows would open another file than the name says: an
// alternate data stream (x.php::$DATA), a short name (8.3), or a backslash.
func unsafeName(name string) bool {
	return strings.ContainsAny(name, `:\`) || caddyhttp.HasWindowsShortName(name)
}
