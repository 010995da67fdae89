package poolcfg

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// Defaults of [Options].
const (
	defaultMinWorkers        = 1
	defaultStartWorkers      = 2
	defaultMaxSpare          = 4
	defaultMaxQueue          = 1024
	defaultIdleTimeout       = time.Minute
	defaultMasterIdleTimeout = 10 * time.Minute
	defaultStartTimeout      = 30 * time.Second
	defaultQueueTimeout      = 30 * time.Second
	defaultStopTimeout       = 4 * time.Second
	defaultHealthInterval    = 5 * time.Second
	defaultSlowRequest       = 5 * time.Second
	defaultBacktraceDepth    = 20 // as php-fpm's request_slowlog_trace_depth
	defaultQuarantineTime    = time.Minute
)

// MaxWorkers is the highest number of workers that is accepted for one pool. It only
// catches typing errors.
const MaxWorkers = 10000

// Validate returns an error for the first option whose value is invalid or contradicts
// another one. The error names the option, its value and the remedy.
func (o *Options) Validate() error {
	for _, check := range []func() error{o.checkManager, o.checkCounts, o.checkOrder, o.checkDurations, o.checkProcess} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) checkManager() error {
	manager := o.EffectiveManager()
	switch manager {
	case pool.Static, pool.Dynamic, pool.OnDemand:
	default:
		return fmt.Errorf("manager %s is not valid: write static, dynamic or ondemand", o.Manager)
	}
	allow := func(set bool, option string, managers ...pool.Manager) error {
		if !set || slices.Contains(managers, manager) {
			return nil
		}
		return fmt.Errorf("%s cannot be used with manager %s: remove it, or write manager %s",
			option, manager, managers[0])
	}
	for _, err := range []error{
		allow(o.Workers != 0, "workers", pool.Static),
		allow(o.MaxWorkers != 0, "max_workers", pool.Dynamic, pool.OnDemand),
		allow(o.MinWorkers != nil, "min_workers", pool.Dynamic),
		allow(o.StartWorkers != 0, "start_workers", pool.Dynamic),
		allow(o.MaxSpare != nil, "max_spare", pool.Dynamic),
		allow(o.IdleTimeout != 0, "idle_timeout", pool.Dynamic, pool.OnDemand),
		allow(o.MasterIdleTimeout != nil, "master_idle_timeout", pool.OnDemand),
	} {
		if err != nil {
			return err
		}
	}
	if manager == pool.Static && o.Workers == 0 {
		return fmt.Errorf("manager static needs the number of workers: write workers <n>")
	}
	return nil
}

func (o *Options) checkCounts() error {
	for _, c := range []struct {
		option   string
		value    int
		min, max int
	}{
		{"workers", o.Workers, 0, MaxWorkers},
		{"max_workers", o.MaxWorkers, -1, MaxWorkers},
		{"min_workers", valueOr(o.MinWorkers, 0), 0, MaxWorkers},
		{"start_workers", o.StartWorkers, 0, MaxWorkers},
		{"max_spare", valueOr(o.MaxSpare, 0), 0, MaxWorkers},
		{"max_requests", o.MaxRequests, -1, 1 << 30},
		{"max_requests jitter", valueOr(o.MaxRequestsJitter, 0), 0, 1 << 30},
		{"max_queue", valueOr(o.MaxQueue, 0), 0, 1 << 30},
		{"backtrace_depth", valueOr(o.BacktraceDepth, 1), 1, 1000},
		{"max_per_client", o.MaxPerClient, -1, MaxWorkers},
		{"nice", valueOr(o.Nice, 0), -20, 19},
	} {
		if c.value < c.min || c.value > c.max {
			return fmt.Errorf("%s %d is out of range: write a number from %d to %d",
				c.option, c.value, c.min, c.max)
		}
	}
	for _, c := range []struct {
		option string
		value  int64
	}{{"max_memory", o.MaxMemory}, {"spool_max", o.SpoolMax}} {
		if c.value < -1 {
			return fmt.Errorf("%s %d is negative: write a size such as 256MiB, or -1 for no limit", c.option, c.value)
		}
	}
	if o.Quarantine != nil && o.Quarantine.Crashes < 0 {
		return fmt.Errorf("quarantine %d is negative: write a number of crashes, or off", o.Quarantine.Crashes)
	}
	return nil
}

// checkOrder compares the numbers of workers with each other.
func (o *Options) checkOrder() error {
	if o.StartWorkers != 0 && o.StartWorkers < valueOr(o.MinWorkers, 0) {
		return fmt.Errorf("start_workers %d is less than min_workers %d: raise start_workers or lower min_workers",
			o.StartWorkers, *o.MinWorkers)
	}
	if o.MaxWorkers <= 0 {
		return nil
	}
	if minWorkers := valueOr(o.MinWorkers, 0); minWorkers > o.MaxWorkers {
		return fmt.Errorf("min_workers %d is more than max_workers %d: lower min_workers or raise max_workers", minWorkers, o.MaxWorkers)
	}
	if o.StartWorkers > o.MaxWorkers {
		return fmt.Errorf("start_workers %d is more than max_workers %d: lower start_workers or raise max_workers",
			o.StartWorkers, o.MaxWorkers)
	}
	return nil
}

func (o *Options) checkDurations() error {
	for _, d := range []struct {
		option string
		value  caddy.Duration
	}{
		{"idle_timeout", o.IdleTimeout},
		{"master_idle_timeout", valueOr(o.MasterIdleTimeout, 0)},
		{"start_timeout", o.StartTimeout},
		{"queue_timeout", o.QueueTimeout},
		{"stop_timeout", o.StopTimeout},
	} {
		if d.value < 0 {
			return fmt.Errorf("%s %s is negative: write a duration such as 30s", d.option, time.Duration(d.value))
		}
	}
	return nil
}

func (o *Options) checkProcess() error {
	switch o.Spawn {
	case "", SpawnShared, SpawnSingle:
	default:
		return fmt.Errorf("spawn %s is not valid: write shared or single", o.Spawn)
	}
	if o.Umask != "" {
		if _, err := strconv.ParseUint(o.Umask, 8, 9); err != nil {
			return fmt.Errorf("umask %s is not a file mode: write three octal digits such as 027", o.Umask)
		}
	}
	if n := o.OOMScoreAdj; n != nil && (*n < -1000 || *n > 1000) {
		return fmt.Errorf("oom_score_adj %d is out of range: write a number from -1000 to 1000", *n)
	}
	for _, pattern := range o.InheritEnv {
		if _, err := path.Match(strings.TrimPrefix(pattern, "!"), ""); err != nil || strings.TrimPrefix(pattern, "!") == "" {
			return fmt.Errorf("inherit_env %q is not a pattern: write one such as WORDPRESS_*", pattern)
		}
	}
	return checkWarmup(o.Warmup)
}

// EffectiveManager returns the configured manager. If only workers is configured, it
// is static; the default is dynamic.
func (o *Options) EffectiveManager() pool.Manager {
	switch {
	case o.Manager != "":
		return pool.Manager(o.Manager)
	case o.Workers > 0:
		return pool.Static
	}
	return pool.Dynamic
}

// Settings returns the options that apply to a running pool, with their defaults.
// autoMax is the value of max_workers auto.
func (o *Options) Settings(autoMax int) pool.Settings {
	s := pool.Settings{
		Size: pool.Size{
			Manager: o.EffectiveManager(), IdleTimeout: durationOr(o.IdleTimeout, defaultIdleTimeout),
			MasterIdleTimeout: defaultMasterIdleTimeout,
		},
		Limits: pool.Limits{
			MaxRequests: max(0, o.MaxRequests), MaxRequestsJitter: valueOr(o.MaxRequestsJitter, max(0, o.MaxRequests/10)),
			MaxAge: durationOrOff(o.MaxAge, 0), MaxMemory: max(0, o.MaxMemory),
			HealthInterval: durationOrOff(o.HealthInterval, defaultHealthInterval),
		},
		Quarantine:     o.quarantine(),
		StartTimeout:   durationOr(o.StartTimeout, defaultStartTimeout),
		QueueTimeout:   durationOr(o.QueueTimeout, defaultQueueTimeout),
		StopTimeout:    durationOr(o.StopTimeout, defaultStopTimeout),
		RequestTimeout: durationOrOff(o.RequestTimeout, 0),
		SlowRequest:    durationOrOff(o.SlowRequest, defaultSlowRequest),
		BacktraceDepth: valueOr(o.BacktraceDepth, defaultBacktraceDepth),
		MaxQueue:       valueOr(o.MaxQueue, defaultMaxQueue),
		MaxPerClient:   max(0, o.MaxPerClient),
	}
	if o.MasterIdleTimeout != nil {
		s.MasterIdleTimeout = time.Duration(*o.MasterIdleTimeout)
	}
	switch s.Manager {
	case pool.Static:
		s.MaxWorkers = o.Workers
	case pool.Dynamic, pool.OnDemand:
		if s.MaxWorkers = o.MaxWorkers; s.MaxWorkers <= 0 {
			s.MaxWorkers = autoMax
		}
		s.MinWorkers = min(valueOr(o.MinWorkers, defaultMinWorkers), s.MaxWorkers)
		s.StartWorkers = o.StartWorkers
		if s.StartWorkers == 0 {
			s.StartWorkers = min(max(defaultStartWorkers, s.MinWorkers), s.MaxWorkers)
		}
		s.MaxSpare = valueOr(o.MaxSpare, max(defaultMaxSpare, s.MinWorkers))
	}
	if o.worker != nil {
		o.worker.settings(&s, o)
	}
	return s
}

func (o *Options) quarantine() pool.Quarantine {
	set := o.Quarantine
	if set == nil {
		return pool.Quarantine{}
	}
	return pool.Quarantine{
		Crashes: set.Crashes,
		Window:  durationOr(set.Window, defaultQuarantineTime), Period: durationOr(set.Period, defaultQuarantineTime),
	}
}

// valueOr returns *p, or the default if p is nil.
func valueOr[T any](p *T, defaultValue T) T {
	if p == nil {
		return defaultValue
	}
	return *p
}

// durationOr returns d, or the default if d is 0.
func durationOr(d caddy.Duration, defaultValue time.Duration) time.Duration {
	return cmp.Or(time.Duration(d), defaultValue)
}

// durationOrOff is durationOr for an option that a negative value turns off: the result
// is 0 then.
func durationOrOff(d caddy.Duration, defaultValue time.Duration) time.Duration {
	return max(0, durationOr(d, defaultValue))
}

// checkWarmup returns an error if a URI of warmup cannot be requested.
func checkWarmup(uris []string) error {
	for _, uri := range uris {
		u, err := url.Parse(uri)
		switch {
		case err != nil:
			return fmt.Errorf("warmup %s: %w: write a path such as /index.php, or a URL", uri, err)
		case !u.IsAbs() && !strings.HasPrefix(uri, "/"):
			return fmt.Errorf("warmup %s does not begin with a slash: write a path such as /index.php, or a URL", uri)
		}
	}
	return nil
}
