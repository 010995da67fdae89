// Package e2e tests php_pool from outside: it runs a Caddy that has the module
// with real php-cgi, sends it HTTP requests, and checks what PHP and the clients
// get. It consists of tests, which run on Linux:
//
//	e2e            behavior: requests, responses, queue, limits, reloads, crashes
//	e2e/parity     the same requests to php_fastcgi with php-fpm, compared
//	e2e/webservers the same behind nginx, Apache, lighttpd and HAProxy: the FastCGI listener
//	e2e/security   attacks, users, isolation, secrets, abusive clients
//	e2e/cluster    several machines: a balancer, three with PHP, redis; needs root
//	e2e/apps       DokuWiki, WordPress; consumers has monitoring agents, browser a developer's browser
//	e2e/soak       long or large: chaos, leaks, crowds of workers and connections
//	e2e/bench      speed, beside php-fpm, nginx and lighttpd (build tag bench)
//	e2e/harness    what all of them share
//
// Every program under test runs under a process that adopts its orphans
// (harness.Supervised). So each test of a server ends by checking that no process
// is left, and nothing outlives a test run, however that ends.
//
// A Caddyfile in a test has the word PHP where the directive belongs. It is
// replaced by a harness.Backend: php_pool in one of its modes, or php_fastcgi with
// php-fpm to compare with:
//
//	go test ./e2e -run 'TestConformance/single-lean/range'
//	go test ./e2e/apps -run TestDokuWiki -backend fpm
//
// Without -caddy each package builds a Caddy first. The flag saves that:
//
//	make build && go test ./e2e/... -caddy $PWD/bin/caddy
package e2e
