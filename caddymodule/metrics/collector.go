package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// collector is a prometheus.Collector that reads all pools at each scrape. The
// counters are in the pools, which outlive configs, so they continue over a reload
// although each config has its own registry.
type collector struct{}

// Register adds the metrics of all pools to the registry of a config. It does
// nothing if registry is nil or has them already.
func Register(registry *prometheus.Registry) error {
	if registry == nil {
		return nil // the context of a test, or of another program
	}
	err := registry.Register(collector{})
	if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return nil // every collector reads all pools
	}
	return err
}

// poolSample is the state of one pool during a scrape.
type poolSample struct {
	pool  *live.Pool
	stats pool.Stats
	// plan has the active settings; nil if the pool has not started.
	plan *poolcfg.Plan
	// ready reports whether the pool can serve a request.
	ready bool
	// opcache is the latest sample of the OPcache that all workers share; nil if
	// they share none or it was not sampled yet.
	opcache *opcache.Sample
	ch      chan<- prometheus.Metric
}

// Describe sends the descriptions of all metrics.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect sends the metrics of all pools. It does not wait for PHP. Memory and
// OPcache are sampled at a limited rate, and a new sample of OPcache is exported by
// the next scrape.
func (collector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range live.All() {
		collectPool(p, ch)
	}
}

// collectPool sends the metrics of one pool.
func collectPool(p *live.Pool, ch chan<- prometheus.Metric) {
	s := &poolSample{
		pool: p, stats: p.Pool.Stats(), ready: p.Pool.Ready() == nil, opcache: p.OPcache.Shared(), ch: ch,
	}
	s.plan, _ = p.Active()
	s.collect()
}

func (s *poolSample) collect() {
	for _, m := range metrics {
		m.collect(m.desc, s)
	}
}

// metric is a metric family, with one series for each pool and value of its
// labels.
type metric struct {
	name string
	desc *prometheus.Desc
	// collect sends the series of one pool.
	collect func(*prometheus.Desc, *poolSample)
}

// newMetric describes a metric. It adds the prefix php_pool_ to the name, and pool
// as the first label.
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

// plain describes a metric with the label pool only.
func plain[N numeric](name, help string, kind prometheus.ValueType, value func(*poolSample) N) metric {
	return newMetric(name, help, func(d *prometheus.Desc, s *poolSample) { s.send(d, kind, float64(value(s))) })
}

// send sends the value of one series. labels has the values of the labels after
// pool.
func (s *poolSample) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, kind, value, append([]string{s.pool.Name}, labels...)...)
}

// histogram describes a histogram of durations, in seconds.
func histogram(name, help string, value func(*pool.Times) *pool.Histogram) metric {
	return newMetric(name, help, func(d *prometheus.Desc, s *poolSample) {
		h := value(&s.stats.Times)
		buckets := make(map[float64]uint64, len(pool.Buckets))
		var count uint64
		for i, bound := range pool.Buckets {
			count += h.Counts[i] // Prometheus counts cumulatively
			buckets[bound.Seconds()] = count
		}
		s.ch <- prometheus.MustNewConstHistogram(d, h.Count(), h.Sum.Seconds(), buckets, s.pool.Name)
	})
}

// boolToInt returns 1 for true and 0 for false.
func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
