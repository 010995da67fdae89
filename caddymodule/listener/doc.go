// Package listener serves PHP to other web servers by FastCGI, as php-fpm
// does: nginx, Apache httpd, lighttpd, HAProxy and Caddy's php_fastcgi send it
// the requests that they would send to php-fpm, and a pool runs them.
//
// [Listener] is one address with its options. A socket outlives the configs that
// listen on it (socket.go), with its connections: a request belongs to the config
// that is active when it begins.
//
// The parameters of a request are those that php-cgi would get from the web server
// itself, in the same order, except what php-fpm changes (script.go). A response is
// passed on as PHP has written it.
package listener
