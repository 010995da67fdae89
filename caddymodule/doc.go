// Package caddymodule is the Caddy side of php_pool: its modules, the Caddyfile and
// the handling of requests. It connects package pool, which manages workers, to
// package phpbin, which starts php-cgi.
//
// The Caddy modules:
//
//	php_pool                                 the app: the pools of a config (app.go), and its
//	                                         FastCGI listeners (package listener)
//	http.handlers.php_pool                   routes and runs PHP (handler.go)
//	http.reverse_proxy.transport.php_pool    the same for reverse_proxy (transport.go)
//	http.handlers.php_pool_status            php-fpm's status page (package status)
//	http.handlers.php_pool_ping              whether a pool can serve (package status)
//	admin.api.php_pool                       the admin API, /php_pool/pools (package status)
//
// The packages below this one, which do not import it:
//
//	cgi         which file serves a request, and the CGI variables for PHP
//	spool       request bodies, in memory and in temporary files
//	poolcfg     the options of a pool, their validation, and the sizes that follow
//	listener    FastCGI for other web servers, instead of php-fpm
//	clients     which clients may see pages for administrators and developers
//	devpage     messages and changes for developers, in their browser
//	live        pools that outlive configs: reload, restart, warmup, watch
//	status      admin API, status page, php_pool_status, php_pool_ping
//	fpmstatus   the formats of php-fpm's status page
//	fpm         the command that runs instead of php-fpm
//	fpmconf     php-fpm's configuration, and what replaces its directives
//	vhosts      sites of nginx and Apache, as sites of a Caddyfile
//	metrics     the Prometheus metrics and the Grafana dashboard
//	worker      the scripts of worker mode, which stay in memory (FrankenPHP's worker mode)
//	opcache     reads and resets the OPcache of workers
//	command     the commands caddy php-pool ...
//	doctor      checks PHP and the system for caddy php-pool doctor
//
// # Requests
//
// Handler routes the request (package cgi). Then Backend.roundTrip finds and checks
// the script, reads the request body (package spool), writes the CGI variables and
// sends all of it with live.Pool.Do. serveDirect copies the response to the client
// (serve.go). For options that only reverse_proxy has, the same Backend runs as the
// transport of a reverseproxy.Handler within our handler: the contexts that
// handle_response and copy_response use are not exported, so we cannot implement
// them.
//
// The requestState of a request holds its placeholders and its field in the access
// log (requeststate.go). tracing.go adds a span.
//
// # Configs and pools
//
// Pools outlive configs: they are in a caddy.UsagePool, by name. In Provision a
// config joins its pools; php-cgi is only queried for its version. In Start it
// stages new and changed pools (live.Pool.Stage). They become active when the
// previous config has stopped, because the load can fail until then: Caddy starts
// apps in any order, and the HTTP server may find its port in use after our Start.
// Without a previous config they become active at once.
//
// This relies on the following behavior of Caddy (2.11.9, caddy.go):
//
//   - run starts all apps of the new config. Then unsyncedStop stops the apps of the
//     old one, in the order of a map, and cancels its context, which calls Cleanup.
//   - Provision and Cleanup run for caddy validate too.
//   - At exit the HTTP server waits for running requests, without limit unless
//     grace_period is set, possibly before our Stop is called. So the time of
//     stop_timeout starts with the event "stopping".
//   - ctx.App creates an app that is not in the config with its zero value, so
//     php_pool needs no global option.
//   - A directive of a plugin can only be ordered relative to standard directives.
//     php_pool has the place of php_fastcgi.
//   - A directive does not learn its host, so a pool without a name is named after
//     the root directory.
//
// # Separating customers
//
// The user that a pool's processes run as separates it from other pools
// (poolcfg/user.go). In addition there are settings that scripts cannot change
// (poolcfg/admin_ini.go). php-cgi takes these for top-level directories, so
// live.Pool.CheckAdminINI rejects a script in a directory that did not exist when
// the generation started. The option isolate (poolcfg/isolate.go) is a set of such
// settings, with a private directory that Caddy gives to the pool's user. The
// directories above it stay owned by Caddy: otherwise PHP could replace a directory
// that root is about to chown.
package caddymodule
