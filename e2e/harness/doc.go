// Package harness runs Caddy with php-cgi for the end-to-end tests, sends it requests,
// and checks that nothing of it remains. Its only importers are tests below e2e.
package harness
