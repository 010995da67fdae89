// Package parity sends the same requests to php_fastcgi with php-fpm and to php_pool,
// and compares what clients and PHP see: status, header fields, body, interim
// responses, trailers, how the connection ended, and the variables of the script.
//
// One Caddy serves everything: each site of sites_test.go, three times, on a port per
// side. The sides are php_fastcgi, php_pool, and php_pool as a transport of
// reverse_proxy. Each subject has a file with its table of requests.
//
// A difference fails the test, unless it is in the list deliberate, which
// docs/migrating.md prints. So does an entry of that list that no request shows.
//
//	go test ./e2e/parity -caddy $PWD/bin/caddy -run TestParity/routing
package parity
