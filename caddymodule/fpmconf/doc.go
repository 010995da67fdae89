// Package fpmconf reads php-fpm's configuration and writes it as a Caddyfile. It also
// has the table of php-fpm's directives with what replaces each of them, from which the
// errors of php_pool's options come too.
//
//	directives.go  the table, and the remedies for errors
//	value.go       values as PHP's ini parser reads them
//	read.go        files, sections and includes
//	convert.go     pools: which line counts, values as tokens
//	settings.go    each directive
//	ini.go         settings of PHP
//	render.go      the Caddyfile
//	sites.go       php_fastcgi in a given Caddyfile
//
// It reads files only, and knows neither Caddy nor the other packages of this module.
package fpmconf
