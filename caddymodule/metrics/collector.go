package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// collector gives Prometheus the numbers of all pools, read when it asks. The
// numbers live in the pools, which outlive configs, so counters go on counting
// over a reload, although each config has a registry of its own.
type collector struct{}

// Register adds the pools to the registry of a config.
func Register(registry *prometheus.Registry) error {
	if registry == nil {
		return nil // a context that somebody else has made
	}
	err := registry.Register(collector{})
	if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return nil // all collectors are the same
	}
	return err
}

// poolSample is one pool at the moment in which Prometheus asks.
type poolSample struct {
	pool  *live.Pool
	stats pool.Stats
	// Plan is nil while the pool belongs to a config that is not in force yet.
	plan *poolcfg.Plan
	// ready says whether a request could be served.
	ready bool
	// OPcache is the last that is known of it; nil if nothing is.
	opcache *opcache.Sample
	to      chan<- prometheus.Metric
}

// Describe lists all metrics.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range metrics {
		to <- f.desc
	}
}

// Collect reads all pools. It waits for no PHP: what costs something is a
// sample, which is not taken more often however many ask, and that of OPcache
// comes with the next scrape.
func (collector) Collect(to chan<- prometheus.Metric) {
	for _, l := range live.All() {
		collectPool(l, to)
	}
}

func collectPool(l *live.Pool, to chan<- prometheus.Metric) {
	s := &poolSample{
		pool: l, stats: l.Pool.Stats(), ready: l.Pool.Ready() == nil, opcache: l.OPcache.Shared(), to: to,
	}
	s.plan, _ = l.Active()
	s.collect()
}

func (s *poolSample) collect() {
	for _, f := range metrics {
		f.collect(f.desc, s)
	}
}

// metric is one metric, of which each pool has one or, with a label of its own,
// several.
type metric struct {
	name string
	desc *prometheus.Desc
	// collectPool sends those of one pool.
	collect func(*prometheus.Desc, *poolSample)
}

// newMetric describes a metric; its first label is always the pool.
func newMetric(name, help string, collect func(*prometheus.Desc, *poolSample), labels ...string) metric {
	name = "php_pool_" + name
	return metric{name, prometheus.NewDesc(name, help, append([]string{"pool"}, labels...), nil), collect}
}

func gauge[N numeric](name, help string, value func(*poolSample) N) metric {
	return plain(name, help, prometheus.GaugeValue, value)
}

func counter[N numeric](name, help string, value func(*poolSample) N) metric {
	return plain(name, help, prometheus.CounterValue, value)
}

type numeric interface {
	~int | ~int64 | ~uint64 | ~float64
}

func plain[N numeric](name, help string, kind prometheus.ValueType, value func(*poolSample) N) metric {
	return newMetric(name, help, func(d *prometheus.Desc, s *poolSample) { s.send(d, kind, float64(value(s))) })
}

// send gives out one number of the pool; labels are those behind its name.
func (s *poolSample) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, kind, value, append([]string{s.pool.Name}, labels...)...)
}

// histogram describes a metric of times, in seconds.
func histogram(name, help string, of func(*pool.Times) *pool.Histogram) metric {
	return newMetric(name, help, func(d *prometheus.Desc, s *poolSample) {
		h := of(&s.stats.Times)
		buckets := make(map[float64]uint64, len(pool.Buckets))
		var upTo uint64
		for i, bound := range pool.Buckets {
			upTo += h.Counts[i]
			buckets[bound.Seconds()] = upTo
		}
		s.to <- prometheus.MustNewConstHistogram(d, h.Count(), h.Sum.Seconds(), buckets, s.pool.Name)
	})
}

// boolToInt is 1 for what is so, and 0 for what is not.
func boolToInt(is bool) int {
	if is {
		return 1
	}
	return 0
}
