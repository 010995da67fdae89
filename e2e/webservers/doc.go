// Package webservers puts real web servers in front of php-fpm and of php_pool's
// FastCGI listener: nginx, Apache, lighttpd, HAProxy and Caddy's php_fastcgi. It sends
// the same requests to both and compares the responses byte for byte: status, header
// fields with their order and duplicates, and body. A FastCGI client sends some without
// a web server between.
//
// One process of each web server has a port for each way to talk FastCGI (see fronts)
// and for each backend. The requests are in rows_test.go and rows_response_test.go.
//
// A difference fails the test, unless it is in the list deliberate, which
// docs/migrating.md prints.
//
//	go test ./e2e/webservers -caddy $PWD/bin/caddy -run TestWebServers/apache
package webservers
