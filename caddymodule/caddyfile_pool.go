package caddymodule

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// option reads one subdirective of a pool. The dispenser has only its tokens,
// and stands on its name.
type option func(d *caddyfile.Dispenser, o *poolcfg.Options) error

// poolOptions are the subdirectives that describe a pool; they mean the same
// in the global options and in the php_pool directive.
var poolOptions = map[string]option{
	"binary":        func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.Binary) },
	"ini_file":      func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.INIFile) },
	"ini_scan_dir":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.INIScanDir) },
	"ini":           func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return pairs(d, &o.INI) },
	"admin_ini":     func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return pairs(d, &o.AdminINI) },
	"isolate":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return onOffPtr(d, &o.Isolate) },
	"oom_score_adj": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneIntPtr(d, &o.OOMScoreAdj) },
	"process_env":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return pairs(d, &o.ProcessEnv) },
	"user":          func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.User) },
	"umask":         func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.Umask) },
	"nice":          func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneIntPtr(d, &o.Nice) },
	"no_new_privs":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return onOffPtr(d, &o.NoNewPrivs) },
	"watch":         func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return onOffPtr(d, &o.Watch) },
	"warmup":        func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return list(d, &o.Warmup) },
	"warmup_strict": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return onOffPtr(d, &o.WarmupStrict) },
	"spawn":         func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.Spawn) },

	"manager":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.Manager) },
	"workers":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneCount(d, &o.Workers) },
	"max_workers":   maxWorkersOption,
	"min_workers":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneIntPtr(d, &o.MinWorkers) },
	"start_workers": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneCount(d, &o.StartWorkers) },
	"max_spare":     func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneIntPtr(d, &o.MaxSpare) },
	"idle_timeout":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneDuration(d, &o.IdleTimeout) },
	"master_idle_timeout": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		o.MasterIdleTimeout = new(caddy.Duration)
		return oneDuration(d, o.MasterIdleTimeout)
	},

	"max_requests": maxRequestsOption,
	"max_age":      func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return durationOrOff(d, &o.MaxAge) },
	"max_memory": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return sizeOr(d, &o.MaxMemory, poolcfg.Off, "0")
	},
	"health_interval": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return durationOrOff(d, &o.HealthInterval)
	},
	"quarantine": quarantineOption,

	"start_timeout":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneDuration(d, &o.StartTimeout) },
	"request_timeout": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return durationOrOff(d, &o.RequestTimeout) },
	"queue_timeout":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneDuration(d, &o.QueueTimeout) },
	"stop_timeout":    func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneDuration(d, &o.StopTimeout) },
	"slow_request":    func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return durationOrOff(d, &o.SlowRequest) },
	"max_queue":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneIntPtr(d, &o.MaxQueue) },
	"max_per_client":  maxPerClientOption,
	"spool_dir":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return oneString(d, &o.SpoolDir) },
	"spool_max": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return sizeOr(d, &o.SpoolMax, poolcfg.Off, "0")
	},
}

// rlimitPrefix begins the options rlimit_nofile, rlimit_core and so on.
const rlimitPrefix = "rlimit_"

// poolOption finds the reader of a subdirective; nil when it is none of a
// pool's.
func poolOption(name string) option {
	if resource, ok := strings.CutPrefix(name, rlimitPrefix); ok {
		return func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
			if o.Rlimits == nil {
				o.Rlimits = map[string]uint64{}
			}
			var n int
			if err := oneInt(d, &n); err != nil {
				return err
			}
			if n < 0 {
				return d.Errf("%s %d is negative: write a number", name, n)
			}
			o.Rlimits[resource] = uint64(n)
			return nil
		}
	}
	return poolOptions[name]
}

// maxRequestsOption: max_requests <n> [<jitter>].
func maxRequestsOption(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("%s takes a number of requests and, if wanted, a jitter: write %s 1000 100", name, name)
	}
	if args[0] == poolcfg.Off || args[0] == "0" {
		o.MaxRequests = -1
		return nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return notNumber(d, name, args[0])
	}
	o.MaxRequests = n
	if len(args) == 2 {
		jitter, err := strconv.Atoi(args[1])
		if err != nil {
			return notNumber(d, name, args[1])
		}
		o.MaxRequestsJitter = &jitter
	}
	return nil
}

// maxPerClientOption: max_per_client <n>|off.
func maxPerClientOption(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	if value == poolcfg.Off {
		o.MaxPerClient = -1
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("%s %s is no number of workers: write a number from 1, or off", name, value)
	}
	o.MaxPerClient = n
	return nil
}

// maxWorkersOption: max_workers <n>|auto.
func maxWorkersOption(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	if value == "auto" {
		o.MaxWorkers = -1
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return d.Errf("%s %s is no number: write a number of workers, or auto", name, value)
	}
	if n < 1 {
		return d.Errf("%s %d: a pool needs at least 1 worker; write a number, or auto", name, n)
	}
	o.MaxWorkers = n
	return nil
}

// quarantineOption: quarantine <deaths> <window> <duration> | off | 0.
func quarantineOption(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name, args := d.Val(), d.RemainingArgs()
	q := new(poolcfg.QuarantineOptions)
	o.Quarantine = q
	if len(args) == 1 && (args[0] == poolcfg.Off || args[0] == "0") {
		return nil
	}
	if len(args) != 3 {
		return d.Errf("%s takes three values, or off: write %s 3 1m 1m (deaths, within, for)", name, name)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return notNumber(d, name, args[0])
	}
	q.Deaths = n
	if err := duration(d, name, args[1], &q.Window); err != nil {
		return err
	}
	return duration(d, name, args[2], &q.Period)
}

// single reads the one argument that an option has.
func single(d *caddyfile.Dispenser) (string, error) {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("%s takes one value, not %d: write %s <value>", name, len(args), name)
	}
	if d.NextBlock(0) {
		return "", d.Errf("%s takes no block", name)
	}
	return args[0], nil
}

func oneString(d *caddyfile.Dispenser, to *string) (err error) {
	name := d.Val()
	if *to, err = single(d); err == nil && *to == "" {
		return d.Errf(`%s "" is empty: write a value, or take %s out`, name, name)
	}
	return err
}

func oneInt(d *caddyfile.Dispenser, to *int) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return notNumber(d, name, value)
	}
	*to = n
	return nil
}

// oneCount reads a number of workers; none at all is no pool.
func oneCount(d *caddyfile.Dispenser, to *int) error {
	name := d.Val()
	if err := oneInt(d, to); err != nil {
		return err
	}
	if *to < 1 {
		return d.Errf("%s %d: a pool needs at least 1 worker; write a number from 1 to %d", name, *to, poolcfg.MaxWorkers)
	}
	return nil
}

func oneIntPtr(d *caddyfile.Dispenser, to **int) error {
	*to = new(int)
	return oneInt(d, *to)
}

func oneDuration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	return duration(d, name, value, to)
}

// durationOrOff reads a duration; off is kept as a negative one.
func durationOrOff(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	if value == poolcfg.Off || value == "0" {
		*to = -1
		return nil
	}
	return duration(d, name, value, to)
}

func duration(d *caddyfile.Dispenser, name, value string, to *caddy.Duration) error {
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed < 0 {
		return d.Errf("%s %s is no duration: write one such as 500ms, 30s, 10m or 1h", name, value)
	}
	*to = caddy.Duration(parsed)
	return nil
}

func oneSize(d *caddyfile.Dispenser, to *int64) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	return size(d, name, value, to)
}

// sizeOr reads a size, or one of the words that are kept as -1.
func sizeOr(d *caddyfile.Dispenser, to *int64, words ...string) error {
	name := d.Val()
	value, err := single(d)
	if err != nil {
		return err
	}
	if slices.Contains(words, value) {
		*to = -1
		return nil
	}
	return size(d, name, value, to)
}

func size(d *caddyfile.Dispenser, name, value string, to *int64) error {
	n, err := humanize.ParseBytes(value)
	if err != nil || n > math.MaxInt64 {
		return d.Errf("%s %s is no size: write one such as 64KiB, 10MB or 1GiB", name, value)
	}
	*to = int64(n)
	return nil
}

// onOff reads an option that is on when it stands there alone.
func onOff(d *caddyfile.Dispenser, to *bool) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case len(args) == 0 || len(args) == 1 && args[0] == "on":
		*to = true
	case len(args) == 1 && args[0] == poolcfg.Off:
		*to = false
	default:
		return d.Errf("%s %s: write %s, or %s off", name, strings.Join(args, " "), name, name)
	}
	return nil
}

func onOffPtr(d *caddyfile.Dispenser, to **bool) error {
	*to = new(bool)
	return onOff(d, *to)
}

// pairs reads `<option> <name> <value>`, or a block of such lines.
func pairs(d *caddyfile.Dispenser, to *map[string]string) error {
	option, args := d.Val(), d.RemainingArgs()
	if *to == nil {
		*to = map[string]string{}
	}
	add := func(line []string) error {
		if len(line) != 2 {
			return d.Errf("%s takes a name and a value: write %s <name> <value>", option, option)
		}
		if old, ok := (*to)[line[0]]; ok && old != line[1] {
			return d.Errf("%s %s is given twice: keep one of %s and %s", option, line[0], old, line[1])
		}
		(*to)[line[0]] = line[1]
		return nil
	}
	if len(args) > 0 {
		return add(args)
	}
	lines := 0
	for d.NextBlock(0) {
		if err := add(append([]string{d.Val()}, d.RemainingArgs()...)); err != nil {
			return err
		}
		lines++
	}
	if lines == 0 {
		return add(nil)
	}
	return nil
}

func notNumber(d *caddyfile.Dispenser, name, value string) error {
	return d.Errf("%s %s is no number: write a whole number", name, value)
}

// entries lists the options of a table, for a message about an unknown one.
func known[V any](table map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}
