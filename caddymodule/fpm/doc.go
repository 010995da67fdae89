// Package fpm runs PHP instead of php-fpm: the command `caddy php-pool fpm` takes
// php-fpm's arguments, signals and configuration, listens where that says, and serves
// FastCGI.
//
//	arguments.go  the command line
//	config.go     from php-fpm.conf to Caddy's JSON
//	adapter.go    the same as a config adapter, for Caddy's own commands
//	command.go    the command, and what it prints: -t, -v, -i, -m
//	server.go     starting, reloading, stopping
//	daemon.go     running in the background
//	notify.go     systemd
//	log.go        php-fpm's error_log
//	encoder.go    Caddy's log in the form of php-fpm's
//	slowlog.go    slow requests in the form of php-fpm's
//	access.go     php-fpm's access.log
//	logfile.go    log files that SIGUSR1 opens again
//
// It is for Unix. Elsewhere [Command] returns nil.
package fpm
