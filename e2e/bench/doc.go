// Package bench compares the speed of php_pool with php-fpm, nginx and lighttpd, and
// measures how it scales. See the bench targets of the Makefile.
package bench
