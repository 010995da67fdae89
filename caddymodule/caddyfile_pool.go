package caddymodule

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// off is the value that turns an option off.
const off = "off"

// optionParser parses one pool option. The dispenser holds only its tokens; the
// current one is the name.
type optionParser func(d *caddyfile.Dispenser, o *poolcfg.Options) error

// poolOptions are the options of a pool, with the same meaning in the global
// options and in the php_pool directive. poolOptionParser adds rlimit_*.
var poolOptions = map[string]optionParser{
	"binary":         func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.Binary) },
	"ini_file":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.INIFile) },
	"ini_scan_dir":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.INIScanDir) },
	"ini":            func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parsePairs(d, &o.INI) },
	"admin_ini":      func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parsePairs(d, &o.AdminINI) },
	"isolate":        func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.Isolate) },
	"oom_score_adj":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.OOMScoreAdj) },
	"process_env":    parseProcessEnv,
	"user":           func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.User) },
	"umask":          func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.Umask) },
	"nice":           func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.Nice) },
	"no_new_privs":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.NoNewPrivs) },
	"confine":        func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.Confine) },
	"finish_request": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.FinishRequest) },
	"watch":          func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.Watch) },
	"warmup":         func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseStrings(d, &o.Warmup) },
	"warmup_strict":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseSwitchPtr(d, &o.WarmupStrict) },
	"spawn":          func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.Spawn) },

	"manager":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.Manager) },
	"workers":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseCount(d, &o.Workers) },
	"max_workers":   parseMaxWorkers,
	"min_workers":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.MinWorkers) },
	"start_workers": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseCount(d, &o.StartWorkers) },
	"max_spare":     func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.MaxSpare) },
	"idle_timeout":  func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDuration(d, &o.IdleTimeout) },
	"master_idle_timeout": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		o.MasterIdleTimeout = new(caddy.Duration)
		return parseDuration(d, o.MasterIdleTimeout)
	},

	"max_requests": parseMaxRequests,
	"max_age":      func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDurationOrOff(d, &o.MaxAge) },
	"max_memory": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return parseSizeOr(d, &o.MaxMemory, off, "0")
	},
	"health_interval": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return parseDurationOrOff(d, &o.HealthInterval)
	},
	"quarantine": parseQuarantine,

	"start_timeout": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDuration(d, &o.StartTimeout) },
	"request_timeout": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return parseDurationOrOff(d, &o.RequestTimeout)
	},
	"queue_timeout":   func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDuration(d, &o.QueueTimeout) },
	"stop_timeout":    func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDuration(d, &o.StopTimeout) },
	"slow_request":    func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseDurationOrOff(d, &o.SlowRequest) },
	"backtrace_depth": func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.BacktraceDepth) },
	"max_queue":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseIntPtr(d, &o.MaxQueue) },
	"max_per_client":  parseMaxPerClient,
	"spool_dir":       func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseString(d, &o.SpoolDir) },
	"spool_max": func(d *caddyfile.Dispenser, o *poolcfg.Options) error {
		return parseSizeOr(d, &o.SpoolMax, off, "0")
	},
}

// rlimitPrefix is the prefix of rlimit_nofile, rlimit_core and so on.
const rlimitPrefix = "rlimit_"

// poolOptionParser returns the parser of a pool option, or nil if the name is not
// one.
func poolOptionParser(name string) optionParser {
	if resource, ok := strings.CutPrefix(name, rlimitPrefix); ok && !fpmconf.Known(name) {
		return func(d *caddyfile.Dispenser, o *poolcfg.Options) error { return parseRlimit(d, o, resource) }
	}
	return poolOptions[name]
}

// parseRlimit parses `rlimit_<resource> <n>|unlimited`.
func parseRlimit(d *caddyfile.Dispenser, o *poolcfg.Options, resource string) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	n := phpbin.Unlimited
	if value != "unlimited" {
		if n, err = strconv.ParseUint(value, 10, 64); err != nil {
			return d.Errf("%s %s is not a limit: write a number of at least 0, or unlimited", name, value)
		}
	}
	if o.Rlimits == nil {
		o.Rlimits = map[string]uint64{}
	}
	o.Rlimits[resource] = n
	return nil
}

// parseMaxRequests parses `max_requests <n> [<jitter>]|off`.
func parseMaxRequests(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("%s needs a number of requests and optionally a jitter: write %s 1000 100", name, name)
	}
	if args[0] == off || args[0] == "0" {
		o.MaxRequests = -1
		return nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 {
		return d.Errf("%s %s is not a number of requests: write a number of at least 1, or off", name, args[0])
	}
	o.MaxRequests = n
	if len(args) == 2 {
		jitter, err := strconv.Atoi(args[1])
		if err != nil {
			return errNotNumber(d, name, args[1])
		}
		o.MaxRequestsJitter = &jitter
	}
	return nil
}

// parseMaxPerClient parses `max_per_client <n>|off`.
func parseMaxPerClient(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	if value == off {
		o.MaxPerClient = -1
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return d.Errf("%s %s is not a number of workers: write a number of at least 1, or off", name, value)
	}
	o.MaxPerClient = n
	return nil
}

// parseMaxWorkers parses `max_workers <n>|auto`.
func parseMaxWorkers(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	if value == "auto" {
		o.MaxWorkers = -1
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return d.Errf("%s %s is not a number: write a number of workers, or auto", name, value)
	}
	if n < 1 {
		return d.Errf("%s %d: a pool needs at least 1 worker; write a number, or auto", name, n)
	}
	o.MaxWorkers = n
	return nil
}

// parseQuarantine parses `quarantine <crashes> <window> <duration>|off`.
func parseQuarantine(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	name, args := d.Val(), d.RemainingArgs()
	q := new(poolcfg.QuarantineOptions)
	o.Quarantine = q
	if len(args) == 1 && (args[0] == off || args[0] == "0") {
		return nil
	}
	if len(args) != 3 {
		return d.Errf("%s needs three values, or off: write %s 3 1m 1m (crashes, window, duration)", name, name)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return d.Errf("%s %s is not a number of crashes: write a number of at least 1, or off", name, args[0])
	}
	q.Crashes = n
	if err := durationValue(d, name, args[1], &q.Window); err != nil {
		return err
	}
	return durationValue(d, name, args[2], &q.Period)
}

// singleArg returns the only argument of an option.
func singleArg(d *caddyfile.Dispenser) (string, error) {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("%s needs one value, got %d: write %s <value>", name, len(args), name)
	}
	if d.NextBlock(0) {
		return "", d.Errf("%s does not take a block: remove it", name)
	}
	return args[0], nil
}

func parseString(d *caddyfile.Dispenser, dst *string) (err error) {
	name := d.Val()
	if *dst, err = singleArg(d); err == nil && *dst == "" {
		return d.Errf(`%s "" is empty: write a value, or remove %s`, name, name)
	}
	return err
}

func parseInt(d *caddyfile.Dispenser, dst *int) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return errNotNumber(d, name, value)
	}
	*dst = n
	return nil
}

// parseCount parses a number of workers, which must be at least 1.
func parseCount(d *caddyfile.Dispenser, dst *int) error {
	name := d.Val()
	if err := parseInt(d, dst); err != nil {
		return err
	}
	if *dst < 1 {
		return d.Errf("%s %d: a pool needs at least 1 worker; write a number from 1 to %d", name, *dst, poolcfg.MaxWorkers)
	}
	return nil
}

func parseIntPtr(d *caddyfile.Dispenser, dst **int) error {
	*dst = new(int)
	return parseInt(d, *dst)
}

func parseDuration(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	return durationValue(d, name, value, dst)
}

// parseDurationOrOff parses a duration; off and 0 become -1.
func parseDurationOrOff(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	if value == off || value == "0" {
		*dst = -1
		return nil
	}
	return durationValue(d, name, value, dst)
}

// durationValue parses the value of the option name.
func durationValue(d *caddyfile.Dispenser, name, value string, dst *caddy.Duration) error {
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed < 0 {
		return d.Errf("%s %s is not a duration: write one such as 500ms, 30s, 10m or 1h%s", name, value, orVariable(value))
	}
	*dst = caddy.Duration(parsed)
	return nil
}

func parseSize(d *caddyfile.Dispenser, dst *int64) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	return sizeValue(d, name, value, dst)
}

// parseSizeOr parses a size in bytes, or one of words, which become -1.
func parseSizeOr(d *caddyfile.Dispenser, dst *int64, words ...string) error {
	name := d.Val()
	value, err := singleArg(d)
	if err != nil {
		return err
	}
	if slices.Contains(words, value) {
		*dst = -1
		return nil
	}
	return sizeValue(d, name, value, dst)
}

// sizeValue parses the value of the option name, in bytes.
func sizeValue(d *caddyfile.Dispenser, name, value string, dst *int64) error {
	n, err := humanize.ParseBytes(value)
	if err != nil || n > math.MaxInt64 {
		return d.Errf("%s %s is not a size: write one such as 64KiB, 10MB or 1GiB%s", name, value, orVariable(value))
	}
	*dst = int64(n)
	return nil
}

// parseSwitch parses `<option> [on|off]`.
func parseSwitch(d *caddyfile.Dispenser, dst *bool) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case len(args) == 0 || len(args) == 1 && args[0] == "on":
		*dst = true
	case len(args) == 1 && args[0] == off:
		*dst = false
	default:
		return d.Errf("%s does not take the value %s: write %s, or %s off", name, strings.Join(args, " "), name, name)
	}
	return nil
}

func parseSwitchPtr(d *caddyfile.Dispenser, dst **bool) error {
	*dst = new(bool)
	return parseSwitch(d, *dst)
}

// parsePairs parses `<option> <name> <value>`, or a block of such lines.
func parsePairs(d *caddyfile.Dispenser, dst *map[string]string) error {
	option := d.Val()
	return parseLines(d, func(line []string) error { return addPair(d, option, line, dst) })
}

// addPair adds the name and value of a line to the map *dst.
func addPair(d *caddyfile.Dispenser, option string, line []string, dst *map[string]string) error {
	if len(line) != 2 {
		return d.Errf("%s needs a name and a value: write %s <name> <value>", option, option)
	}
	if *dst == nil {
		*dst = map[string]string{}
	}
	if old, ok := (*dst)[line[0]]; ok && old != line[1] {
		return d.Errf("duplicate %s %s, with the values %s and %s: remove one", option, line[0], old, line[1])
	}
	(*dst)[line[0]] = line[1]
	return nil
}

// parseProcessEnv parses `process_env <name> <value>`, `process_env inherit [off]` and
// `process_env [!]<pattern>`, or a block of such lines.
func parseProcessEnv(d *caddyfile.Dispenser, o *poolcfg.Options) error {
	option := d.Val()
	return parseLines(d, func(line []string) error {
		switch {
		case len(line) == 1 && line[0] == "inherit":
			o.InheritEnv = append(o.InheritEnv, "*")
		case len(line) == 2 && line[0] == "inherit" && line[1] == off:
			o.InheritEnv = []string{}
		case len(line) == 1 && strings.ContainsAny(line[0], "*!"):
			o.InheritEnv = append(o.InheritEnv, line[0])
		case len(line) == 1:
			return d.Errf("%s %s needs a value: write %s %s {env.%s} for that of Caddy's environment", option, line[0], option, line[0], line[0])
		default:
			return addPair(d, option, line, &o.ProcessEnv)
		}
		return nil
	})
}

// parseLines calls add with the arguments of an option, or with each line of its block.
func parseLines(d *caddyfile.Dispenser, add func(line []string) error) error {
	args := d.RemainingArgs()
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

func errNotNumber(d *caddyfile.Dispenser, name, value string) error {
	return d.Errf("%s %s is not a number: write a whole number%s", name, value, orVariable(value))
}

// orVariable is the remedy for a placeholder where it cannot be replaced: numbers are
// parsed before that. It is "" for other values.
func orVariable(value string) string {
	name, ok := strings.CutPrefix(value, "{env.")
	if !ok {
		return ""
	}
	return ", or {$" + strings.TrimSuffix(name, "}") + "}, which is replaced before"
}
