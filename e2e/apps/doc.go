// Package apps tests php_pool with applications as Debian packages them, and the status
// page in a browser. Most applications are used behind php_fastcgi with php-fpm too: each
// response must be the same, except for tokens and times.
package apps
