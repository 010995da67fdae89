// Package command implements the subcommands of `caddy php-pool`. They use the
// admin API of a running Caddy, as Caddy's own commands do; only doctor and
// import work without a running Caddy. The commands fpm and serve, which run a Caddy,
// are in other packages.
//
//	command.go           the commands and their flags
//	client.go            client of the admin API
//	machines.go          several machines, with --address repeated
//	response.go          the JSON of the admin API
//	status.go            status: the pools and their problems
//	diagnose.go          problems that the numbers of a pool show
//	opcache_capacity.go  PHP's caches that are almost full
//	change.go            restart, scale, recycle
//	drain.go             drain
//	backtrace.go         backtrace
//	opcache.go           opcache
//	top.go               top: the command and its rows
//	top_model.go         top: its state, independent of the terminal
//	top_screen.go        top: the terminal
//	doctor.go            doctor
//	import.go            import: php-fpm's configuration as a Caddyfile
//	table.go             text in columns
//
// The package decodes the JSON of the API into its own types and accepts missing
// keys: the running Caddy may be of another version than the command.
//
// It must not import caddymodule, which imports it so that every Caddy with the
// module has the commands. caddymodule passes a [Planner] to [Register], which
// computes the pools of a config.
package command
