// Package wine runs a Caddy for Windows under Wine, with a program that takes the place of
// php-cgi.exe. make test-wine builds both, prepares Wine, and runs these tests and those
// of packages that have no other needs.
package wine
