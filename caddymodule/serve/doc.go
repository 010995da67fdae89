// Package serve is the command `caddy php-pool serve`: it writes a Caddyfile for a
// directory with PHP, and runs Caddy with it.
package serve
