// Package fpm tests `caddy php-pool fpm`, and compares it with php-fpm.
package fpm
