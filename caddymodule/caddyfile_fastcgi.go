package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/listener"
	"github.com/mevdschee/caddy-php-pool/internal/nearest"
)

// fastcgiOptions are the options of `fastcgi <address>` in the global options.
var fastcgiOptions = map[string]func(d *caddyfile.Dispenser, l *listener.Listener) error{
	"pool":            func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseString(d, &l.Pool) },
	"owner":           func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseString(d, &l.Owner) },
	"allow":           func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseStrings(d, &l.Allow) },
	"extensions":      func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseStrings(d, &l.Extensions) },
	"root":            func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseString(d, &l.Root) },
	"status":          func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseString(d, &l.Status) },
	"ping":            parseFastCGIPing,
	"max_connections": parseMaxConnections,
	"body_timeout":    func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseDurationOrOff(d, &l.BodyTimeout) },
	"access_log":      parseAccessLog,
	"capture_stderr":  func(d *caddyfile.Dispenser, l *listener.Listener) error { return parseSwitch(d, &l.CaptureStderr) },
}

// parseFastCGI parses `fastcgi <address> { ... }` in the global options.
func (a *App) parseFastCGI(d *caddyfile.Dispenser) error {
	d.Next() // "fastcgi"
	l, seen := new(listener.Listener), map[string]bool{}
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("fastcgi needs one address, got %d: write fastcgi unix//run/php-pool.sock { ... }", len(args))
	}
	l.Listen = args[0]
	for d.NextBlock(0) {
		name := d.Val()
		option := caddyfile.NewDispenser(d.NextSegment())
		option.Next()
		parse := fastcgiOptions[name]
		switch {
		case parse == nil:
			return unrecognizedFastCGI(option)
		case seen[name]:
			return option.Errf("duplicate option %q: remove one", name)
		}
		seen[name] = true
		if err := parse(option, l); err != nil {
			return err
		}
	}
	for _, other := range a.FastCGI {
		if other.Listen == l.Listen {
			return d.Errf("duplicate fastcgi %s: remove one", l.Listen)
		}
	}
	a.FastCGI = append(a.FastCGI, l)
	return nil
}

// unrecognizedFastCGI returns the error for an option that fastcgi does not have.
func unrecognizedFastCGI(d *caddyfile.Dispenser) error {
	name := d.Val()
	if poolOptionParser(name) != nil {
		return d.Errf("%s is an option of a pool: write it in the block of the pool, which fastcgi uses by pool <name>", name)
	}
	var names []string
	for option := range fastcgiOptions {
		names = append(names, option)
	}
	if similar := nearest.Name(name, names); similar != "" {
		return d.Errf("unrecognized fastcgi option %q: did you mean %s?", name, similar)
	}
	return d.Errf("unrecognized fastcgi option %q: remove it; docs/configuration.md lists all options", name)
}

// parseFastCGIPing parses `ping <path> [<response>]`.
func parseFastCGIPing(d *caddyfile.Dispenser, l *listener.Listener) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("ping needs a path and optionally a response: write ping /ping, or ping /ping pong")
	}
	l.Ping = args[0]
	if len(args) == 2 {
		l.PingResponse = args[1]
	}
	return nil
}

// parseAccessLog parses `access_log <format> [<path>...]`.
func parseAccessLog(d *caddyfile.Dispenser, l *listener.Listener) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("access_log needs a format of php-fpm: write access_log `%%R - %%u %%t \"%%m %%r%%Q%%q\" %%s`")
	}
	l.AccessLog, l.AccessSuppress = args[0], args[1:]
	return nil
}

// parseMaxConnections parses `max_connections <n>`.
func parseMaxConnections(d *caddyfile.Dispenser, l *listener.Listener) error {
	if err := parseInt(d, &l.MaxConnections); err != nil {
		return err
	}
	if l.MaxConnections < 1 {
		return d.Errf("max_connections %d: write a number of at least 1", l.MaxConnections)
	}
	return nil
}
