package poolcfg

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// The defaults of Options.
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
	defaultQuarantineDeaths  = 3
	defaultQuarantineTime    = time.Minute
)

// MaxWorkers is a bound for typing errors: more processes than any machine
// runs.
const MaxWorkers = 10000

// Validate refuses options that cannot be meant. Each message names the
// option, the value and the cure.
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
		return fmt.Errorf("manager %s is unknown: write static, dynamic or ondemand", o.Manager)
	}
	foreign := func(set bool, option string, belongs ...pool.Manager) error {
		if !set {
			return nil
		}
		if slices.Contains(belongs, manager) {
			return nil
		}
		return fmt.Errorf("%s does not belong to a pool with manager %s: take it out, or write manager %s",
			option, manager, belongs[0])
	}
	for _, err := range []error{
		foreign(o.Workers != 0, "workers", pool.Static),
		foreign(o.MaxWorkers != 0, "max_workers", pool.Dynamic, pool.OnDemand),
		foreign(o.MinWorkers != nil, "min_workers", pool.Dynamic),
		foreign(o.StartWorkers != 0, "start_workers", pool.Dynamic),
		foreign(o.MaxSpare != nil, "max_spare", pool.Dynamic),
		foreign(o.IdleTimeout != 0, "idle_timeout", pool.Dynamic, pool.OnDemand),
		foreign(o.MasterIdleTimeout != nil, "master_idle_timeout", pool.OnDemand),
	} {
		if err != nil {
			return err
		}
	}
	if manager == pool.Static && o.Workers == 0 {
		return fmt.Errorf("manager static needs a number of workers: write workers <n>")
	}
	return nil
}

func (o *Options) checkCounts() error {
	for _, c := range []struct {
		option     string
		value      int
		from, upTo int
	}{
		{"workers", o.Workers, 0, MaxWorkers},
		{"max_workers", o.MaxWorkers, -1, MaxWorkers},
		{"min_workers", ValueOr(o.MinWorkers, 0), 0, MaxWorkers},
		{"start_workers", o.StartWorkers, 0, MaxWorkers},
		{"max_spare", ValueOr(o.MaxSpare, 0), 0, MaxWorkers},
		{"max_requests", o.MaxRequests, -1, 1 << 30},
		{"max_requests jitter", ValueOr(o.MaxRequestsJitter, 0), 0, 1 << 30},
		{"max_queue", ValueOr(o.MaxQueue, 0), 0, 1 << 30},
		{"max_per_client", o.MaxPerClient, -1, MaxWorkers},
		{"nice", ValueOr(o.Nice, 0), -20, 19},
	} {
		if c.value < c.from || c.value > c.upTo {
			return fmt.Errorf("%s %d is out of range: write a number from %d to %d",
				c.option, c.value, c.from, c.upTo)
		}
	}
	for _, c := range []struct {
		option string
		value  int64
	}{{"max_memory", o.MaxMemory}, {"spool_max", o.SpoolMax}} {
		if c.value < -1 {
			return fmt.Errorf("%s %d is negative: write a size such as 256MiB, or -1 for none", c.option, c.value)
		}
	}
	if o.Quarantine != nil && o.Quarantine.Deaths < 0 {
		return fmt.Errorf("quarantine %d is negative: write a number of deaths, or off", o.Quarantine.Deaths)
	}
	return nil
}

// checkOrder compares the sizes with each other.
func (o *Options) checkOrder() error {
	if o.StartWorkers != 0 && o.StartWorkers < ValueOr(o.MinWorkers, 0) {
		return fmt.Errorf("start_workers %d is less than min_workers %d: make one of them fit",
			o.StartWorkers, *o.MinWorkers)
	}
	if o.MaxWorkers <= 0 {
		return nil
	}
	if least := ValueOr(o.MinWorkers, 0); least > o.MaxWorkers {
		return fmt.Errorf("min_workers %d is more than max_workers %d: make one of them fit", least, o.MaxWorkers)
	}
	if o.StartWorkers > o.MaxWorkers {
		return fmt.Errorf("start_workers %d is more than max_workers %d: make one of them fit",
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
		{"master_idle_timeout", ValueOr(o.MasterIdleTimeout, 0)},
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
		return fmt.Errorf("spawn %s is unknown: write shared or single", o.Spawn)
	}
	if o.Umask != "" {
		if _, err := strconv.ParseUint(o.Umask, 8, 9); err != nil {
			return fmt.Errorf("umask %s is no file mode: write three octal digits such as 027", o.Umask)
		}
	}
	if n := o.OOMScoreAdj; n != nil && (*n < -1000 || *n > 1000) {
		return fmt.Errorf("oom_score_adj %d is out of range: write a number from -1000 to 1000", *n)
	}
	return checkWarmup(o.Warmup)
}

// EffectiveManager is the one that was asked for: naming only a number of workers asks
// for a static pool.
func (o *Options) EffectiveManager() pool.Manager {
	switch {
	case o.Manager != "":
		return pool.Manager(o.Manager)
	case o.Workers > 0:
		return pool.Static
	}
	return pool.Dynamic
}

// iniSettings are the options that act on the live pool, with their defaults.
// max is what max_workers auto came to.
func (o *Options) Settings(auto int) pool.Settings {
	s := pool.Settings{
		Size: pool.Size{
			Manager: o.EffectiveManager(), IdleTimeout: or(o.IdleTimeout, defaultIdleTimeout),
			MasterIdleTimeout: defaultMasterIdleTimeout,
		},
		Limits: pool.Limits{
			MaxRequests: max(0, o.MaxRequests), MaxRequestsJitter: ValueOr(o.MaxRequestsJitter, max(0, o.MaxRequests/10)),
			MaxAge: nonNegative(o.MaxAge, 0), MaxMemory: max(0, o.MaxMemory),
			HealthInterval: nonNegative(o.HealthInterval, defaultHealthInterval),
		},
		Quarantine:     o.quarantine(),
		StartTimeout:   or(o.StartTimeout, defaultStartTimeout),
		QueueTimeout:   or(o.QueueTimeout, defaultQueueTimeout),
		StopTimeout:    or(o.StopTimeout, defaultStopTimeout),
		RequestTimeout: nonNegative(o.RequestTimeout, 0),
		SlowRequest:    nonNegative(o.SlowRequest, defaultSlowRequest),
		MaxQueue:       ValueOr(o.MaxQueue, defaultMaxQueue),
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
			s.MaxWorkers = auto
		}
		s.MinWorkers = min(ValueOr(o.MinWorkers, defaultMinWorkers), s.MaxWorkers)
		s.StartWorkers = o.StartWorkers
		if s.StartWorkers == 0 {
			s.StartWorkers = min(max(defaultStartWorkers, s.MinWorkers), s.MaxWorkers)
		}
		s.MaxSpare = ValueOr(o.MaxSpare, max(defaultMaxSpare, s.MinWorkers))
	}
	return s
}

func (o *Options) quarantine() pool.Quarantine {
	q := pool.Quarantine{
		Deaths: defaultQuarantineDeaths, Window: defaultQuarantineTime, Period: defaultQuarantineTime,
	}
	if own := o.Quarantine; own != nil {
		q.Deaths = own.Deaths
		q.Window = or(own.Window, q.Window)
		q.Period = or(own.Period, q.Period)
	}
	return q
}

func ValueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// or is d, or the default when d was not set.
func or(d caddy.Duration, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

// nonNegative is or, with a negative duration for "off".
func nonNegative(d caddy.Duration, otherwise time.Duration) time.Duration {
	return max(0, or(d, otherwise))
}

// checkWarmup refuses what cannot be requested.
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
