// Package caddymodule is the Caddy face of php_pool: configuration, requests,
// the admin API. It is where package pool, which decides about workers, meets
// package phpbin, which starts php-cgi.
//
//	php_pool                                 the app: pools, their start and stop (app.go)
//	http.handlers.php_pool                   the directive's handler (handler.go)
//	http.handlers.php_pool_status            php-fpm's status page (status.go)
//	http.handlers.php_pool_ping              whether the pool can serve (ping.go)
//	http.reverse_proxy.transport.php_pool    the same way to PHP for reverse_proxy (transport.go)
//	admin.api.php_pool                       /php_pool/pools (admin.go)
//
// # A request's way
//
// Handler routes (route.go), then Backend.roundTrip finds and checks the script
// (script.go), takes in the body (package spool), writes the CGI variables
// (env.go) and sends all of it by pool.Do. The handler copies the answer (serve.go);
// where options ask for what only reverse_proxy can do, the same Backend runs
// as the transport of a reverseproxy.Handler inside our handler, because the
// contexts of handle_response and copy_response are unexported there.
//
// # What others see of it
//
// The numbers live in package pool, and everybody who shows them reads them
// there when asked: the admin API (describe.go), php-fpm's status page
// (fpmstatus), Prometheus (metrics.go). What only PHP knows, package opcache asks
// it. What an administrator learns of a single request is its visit (observe.go),
// which the placeholders and the access log read, and a span (observe_trace.go).
//
// # Configs and pools
//
// Pools live longer than configs: they are in a caddy.UsagePool by name. A
// config joins its pools in Provision, which only asks php-cgi what it is, and
// makes ready in Start what is new or has changed (managedPool.stage). What was
// made ready takes effect when the config before it has stopped, since until
// then the load may still fail: Caddy starts apps in any order, and the HTTP
// server may find its port taken after our Start. A config that comes first
// takes effect at once.
//
// Caddy's facts behind that (2.11.9, caddy.go): run starts all apps of the new
// config, then unsyncedStop stops those of the old one, in the order of a map,
// and cancels its context, which calls Cleanup. Provision and Cleanup run for
// `caddy validate` too. At exit the HTTP server waits for running requests
// without limit unless grace_period says otherwise, and perhaps before our Stop
// is called: so the clock of stop_timeout starts with the event "stopping".
// An app that no config names is made by ctx.App with its zero value, so
// php_pool needs no global option.
//
// Directives of plugins cannot be ordered relative to each other, only to
// standard ones; php_pool stands where php_fastcgi does. A directive is not
// told for which host it stands, so a pool without a name is named after the
// root directory.
//
// # What keeps customers apart
//
// The user that a pool's processes run as (user.go). On top of it the settings
// that scripts cannot undo (admin_ini.go), which php-cgi takes for top-level
// directories: managedPool.checkAdminINI refuses a script in one that was not there when
// the generation began. isolate (isolate.go) stands for a set of those, with a
// directory that Caddy gives to the pool's user; what lies above it stays
// Caddy's, since a root that gives away what a user can rename gives away
// anything.
package caddymodule
