// Package vhosts reads the sites of nginx and Apache that pass PHP to php-fpm, and
// writes them as sites of a Caddyfile. It converts five things: names, root, index
// files, the front controller, and the pool. Everything else becomes a comment.
//
//	read.go        files and includes
//	nginx.go       nginx's syntax
//	apache.go      Apache's syntax
//	nginxsite.go   a server of nginx
//	apachesite.go  a virtual host of Apache
//	pattern.go     which scripts a pattern selects
//	remedy.go      what to write instead of other directives, and which of them protect
//	site.go        the site, and its lines of a Caddyfile
//
// It reads files only, and knows neither Caddy nor the pools: a Finder names the pool
// of an address.
package vhosts
