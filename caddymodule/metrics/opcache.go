package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
)

// opcacheMetrics has the metrics of OPcache. They are absent, not 0, for a pool
// without a sample.
var opcacheMetrics = []metric{
	opcacheMetric("sampled_timestamp_seconds", "When the OPcache metrics were read, in seconds since the epoch.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.At.UnixNano()) / 1e9 }),
	opcacheMetric("hits_total", "OPcache hits.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Hits) }),
	opcacheMetric("misses_total", "OPcache misses.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Misses) }),
	opcacheMetric("full", "1 if OPcache accepts no more scripts.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(boolToInt(o.Full)) }),
	opcacheMetric("restart_pending", "1 while OPcache waits for its reset; until then PHP compiles every script for each request.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(boolToInt(!o.Enabled)) }),
	opcacheMetricPer("state", "memory_bytes", "Memory of OPcache: used, free, or wasted by outdated scripts.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"used": o.Memory.Used, "free": o.Memory.Free, "wasted": o.Memory.Wasted}
		}),
	opcacheMetric("scripts", "Scripts in OPcache.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Scripts) }),
	opcacheMetric("keys", "Keys in OPcache's hash table; a script can have several.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Keys) }),
	opcacheMetric("keys_max", "Maximum number of keys (opcache.max_accelerated_files).",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.MaxKeys) }),
	opcacheMetricPer("state", "interned_strings_bytes", "OPcache's buffer for interned strings: used, free.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.Strings == nil {
				return nil
			}
			return map[string]int64{"used": o.Strings.Used, "free": o.Strings.Free}
		}),
	opcacheMetricPer("state", "jit_buffer_bytes", "Buffer of the JIT compiler: used, free.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.JIT == nil {
				return nil
			}
			return map[string]int64{"used": o.JIT.Size - o.JIT.Free, "free": o.JIT.Free}
		}),
	opcacheMetricPer("reason", "restarts_total", "Restarts of OPcache: out of memory, out of keys (hash), or requested (manual).",
		prometheus.CounterValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"out_of_memory": o.Restarts.OOM, "hash": o.Restarts.Hash, "manual": o.Restarts.Manual}
		}),
}

// opcacheMetric describes a metric of OPcache with the label pool only.
func opcacheMetric(name, help string, kind prometheus.ValueType, value func(*opcache.Sample) float64) metric {
	return newMetric("opcache_"+name, help, func(d *prometheus.Desc, s *poolSample) {
		if s.opcache != nil {
			s.send(d, kind, value(s.opcache))
		}
	})
}

// opcacheMetricPer describes a metric of OPcache with one more label. values returns
// the values by that label.
func opcacheMetricPer(label, name, help string, kind prometheus.ValueType, values func(*opcache.Sample) map[string]int64) metric {
	return newMetric("opcache_"+name, help, func(d *prometheus.Desc, s *poolSample) {
		if s.opcache == nil {
			return
		}
		for labelValue, value := range values(s.opcache) {
			s.send(d, kind, float64(value), labelValue)
		}
	}, label)
}
