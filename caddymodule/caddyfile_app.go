package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
)

// The global options of the app itself: no pool has them.
const (
	totalOption   = "max_workers_total"
	threadsOption = "threads"
)

// parseTotal parses `max_workers_total <n>`.
func (a *App) parseTotal(d *caddyfile.Dispenser) error {
	d.Next() // the option
	if a.MaxWorkersTotal != 0 {
		return d.Errf("duplicate option %q: remove one", totalOption)
	}
	if err := parseInt(d, &a.MaxWorkersTotal); err != nil {
		return err
	}
	if a.MaxWorkersTotal < 1 {
		return d.Errf("%s %d: write a number of at least 1, or remove it for no limit", totalOption, a.MaxWorkersTotal)
	}
	return nil
}

// parseThreads parses `threads auto|<n>|off`.
func (a *App) parseThreads(d *caddyfile.Dispenser) error {
	d.Next() // the option
	if a.Threads != "" {
		return d.Errf("duplicate option %q: remove one", threadsOption)
	}
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s needs one value: write auto, off or a number", threadsOption)
	}
	a.Threads = threads.Setting(args[0])
	if err := a.Threads.Validate(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}
