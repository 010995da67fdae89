// Package command has the subcommands of `caddy php-pool`. They talk to a Caddy
// that runs, by its admin API and as Caddy's own commands do; only doctor does
// without one.
//
//	command.go       the commands, their flags
//	client.go        the admin API, seen from here
//	answer.go        what it answers
//	status.go        status: a table and what is wrong
//	trouble.go       what is wrong with a pool, as far as its numbers tell
//	cramped.go       which of PHP's caches have no room left
//	change.go        restart, scale, recycle
//	backtrace.go     backtrace
//	opcache.go       opcache
//	top.go           top: what it shows, and how it reacts
//	screen.go        top on a terminal
//	doctor.go        doctor
//	table.go         columns of text
//
// It decodes the API's answers into types of its own, and takes a key that is
// missing for one that is not known: the Caddy that answers may be another build
// than the one whose command is run.
//
// Nothing here imports caddymodule, which imports this package so that the
// commands are in every Caddy that has the module. What only caddymodule knows,
// the pools that a config would have, it passes to [Register].
package command
