// Package cgi maps a request to a script, and a script to CGI variables.
//
// A [Router] changes the request's path to the file that serves it, as the routes
// of php_fastcgi do. [Site.FindScript] then checks that this file is a script that
// may run. An [EnvWriter] writes the variables of RFC 3875 for it. What one stage
// finds out is kept in the request's [State] for the next.
//
// The package reads files below the site's root only, and does not know pools.
package cgi
