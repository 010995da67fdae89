// Package cgi decides which file serves a request and what PHP is told about it:
// the routing of php_fastcgi (route.go), the check of the script (script.go), and
// the CGI variables (env.go). It reads files below the site's root and knows
// nothing of pools.
package cgi
