package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// collector gives Prometheus the numbers of all pools, read when it asks. The
// numbers live in the pools, which outlive configs, so counters go on counting
// over a reload, although each config has a registry of its own.
type collector struct{}

// registerMetrics adds the pools to the registry of a config.
func registerMetrics(registry *prometheus.Registry) error {
	if registry == nil {
		return nil // a context that somebody else has made
	}
	err := registry.Register(collector{})
	if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return nil // all collectors are the same
	}
	return err
}

// scrape is one pool at the moment in which Prometheus asks.
type scrape struct {
	live  *livePool
	stats pool.Stats
	// spec is nil while the pool belongs to a config that is not in force yet.
	spec *spec
	// ready says whether a request could be served.
	ready bool
	// opcache is the last that is known of it; nil if nothing is.
	opcache *opcache.Sample
	to      chan<- prometheus.Metric
}

// Describe lists all metrics.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range families {
		to <- f.desc
	}
}

// Collect reads all pools. It waits for no PHP: what costs something is a
// sample, which is not taken more often however many ask, and that of OPcache
// comes with the next scrape.
func (collector) Collect(to chan<- prometheus.Metric) {
	var all []*livePool
	pools.Range(func(_, value any) bool {
		all = append(all, value.(*livePool))
		return true
	})
	// Not within Range, which keeps pools from being made.
	for _, l := range all {
		l.collect(to)
	}
}

func (l *livePool) collect(to chan<- prometheus.Metric) {
	s := &scrape{
		live: l, stats: l.pool.Stats(), ready: l.pool.Ready() == nil, opcache: l.opcache.Shared(), to: to,
	}
	s.spec, _ = l.inForce()
	s.collect()
}

func (s *scrape) collect() {
	for _, f := range families {
		f.collect(f.desc, s)
	}
}

// family is one metric, of which each pool has one or, with a label of its own,
// several.
type family struct {
	name string
	desc *prometheus.Desc
	// collect sends those of one pool.
	collect func(*prometheus.Desc, *scrape)
}

// newFamily describes a metric; its first label is always the pool.
func newFamily(name, help string, collect func(*prometheus.Desc, *scrape), labels ...string) family {
	name = "php_pool_" + name
	return family{name, prometheus.NewDesc(name, help, append([]string{"pool"}, labels...), nil), collect}
}

func gauge[N numeric](name, help string, value func(*scrape) N) family {
	return plain(name, help, prometheus.GaugeValue, value)
}

func counter[N numeric](name, help string, value func(*scrape) N) family {
	return plain(name, help, prometheus.CounterValue, value)
}

type numeric interface {
	~int | ~int64 | ~uint64 | ~float64
}

func plain[N numeric](name, help string, kind prometheus.ValueType, value func(*scrape) N) family {
	return newFamily(name, help, func(d *prometheus.Desc, s *scrape) { s.send(d, kind, float64(value(s))) })
}

// send gives out one number of the pool; labels are those behind its name.
func (s *scrape) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, kind, value, append([]string{s.live.name}, labels...)...)
}

// histogram describes a metric of times, in seconds.
func histogram(name, help string, of func(*pool.Times) *pool.Histogram) family {
	return newFamily(name, help, func(d *prometheus.Desc, s *scrape) {
		h := of(&s.stats.Times)
		buckets := make(map[float64]uint64, len(pool.Buckets))
		var upTo uint64
		for i, bound := range pool.Buckets {
			upTo += h.Counts[i]
			buckets[bound.Seconds()] = upTo
		}
		s.to <- prometheus.MustNewConstHistogram(d, h.Count(), h.Sum.Seconds(), buckets, s.live.name)
	})
}

// bit is 1 for what is so, and 0 for what is not.
func bit(is bool) int {
	if is {
		return 1
	}
	return 0
}
