// Package e2e tests php_pool from outside: it builds a Caddy with the module in
// it, runs it with real php-cgi, and speaks HTTP to scripts and to whole
// applications. It has no code but tests, and they run on Linux.
//
// Each program under test has a keeper (keeper_test.go): a process that adopts
// whatever the program leaves behind. So every server's test ends by asking
// what is left, and nothing outlives a test run, however that ends.
//
// A Caddyfile in a test says PHP where the directive stands. What takes its
// place is the backend (backend_test.go): php_pool in one of its forms, or for
// comparison php_fastcgi with php-fpm:
//
//	go test ./e2e -run 'TestConformance/single-lean/range'
//	go test ./e2e -run TestDokuWiki -backend fpm
package e2e
