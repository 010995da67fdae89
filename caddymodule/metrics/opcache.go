package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
)

// opcacheMetrics are missing, not 0, for a pool whose OPcache is not known.
var opcacheMetrics = []metric{
	opcacheMetric("sampled_timestamp_seconds", "When the numbers of OPcache were read, in seconds since the epoch.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.At.UnixNano()) / 1e9 }),
	opcacheMetric("hits_total", "Scripts that were found in OPcache.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Hits) }),
	opcacheMetric("misses_total", "Scripts that were not found in OPcache.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Misses) }),
	opcacheMetric("full", "Whether OPcache takes no more scripts.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(boolToInt(o.Full)) }),
	opcacheMetric("restart_pending", "Whether OPcache waits to be emptied; until then every script is compiled anew.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(boolToInt(!o.Enabled)) }),
	opcacheMetricPer("state", "memory_bytes", "Memory of OPcache: used, free, or wasted by scripts that have changed.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"used": o.Memory.Used, "free": o.Memory.Free, "wasted": o.Memory.Wasted}
		}),
	opcacheMetric("scripts", "Scripts in OPcache.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Scripts) }),
	opcacheMetric("keys", "Keys in OPcache's hash table; a script may have several.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Keys) }),
	opcacheMetric("keys_max", "The most keys there may be (opcache.max_accelerated_files).",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.MaxKeys) }),
	opcacheMetricPer("state", "interned_strings_bytes", "OPcache's memory for interned strings.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.Strings == nil {
				return nil
			}
			return map[string]int64{"used": o.Strings.Used, "free": o.Strings.Free}
		}),
	opcacheMetricPer("state", "jit_buffer_bytes", "The buffer of the JIT compiler.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.JIT == nil {
				return nil
			}
			return map[string]int64{"used": o.JIT.Size - o.JIT.Free, "free": o.JIT.Free}
		}),
	opcacheMetricPer("reason", "restarts_total", "Restarts of OPcache: for want of memory or of keys (hash), or by request.",
		prometheus.CounterValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"out_of_memory": o.Restarts.OOM, "hash": o.Restarts.Hash, "manual": o.Restarts.Manual}
		}),
}

// opcacheMetric describes one number of OPcache.
func opcacheMetric(name, help string, kind prometheus.ValueType, value func(*opcache.Sample) float64) metric {
	return newMetric("opcache_"+name, help, func(d *prometheus.Desc, s *poolSample) {
		if s.opcache != nil {
			s.send(d, kind, value(s.opcache))
		}
	})
}

// opcacheMetricPer describes several of them, told apart by a label.
func opcacheMetricPer(label, name, help string, kind prometheus.ValueType, values func(*opcache.Sample) map[string]int64) metric {
	return newMetric("opcache_"+name, help, func(d *prometheus.Desc, s *poolSample) {
		if s.opcache == nil {
			return
		}
		for of, value := range values(s.opcache) {
			s.send(d, kind, float64(value), of)
		}
	}, label)
}
