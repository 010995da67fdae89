package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
)

// opcacheFamilies are missing, not 0, for a pool whose OPcache is not known.
var opcacheFamilies = []family{
	opcacheFamily("sampled_timestamp_seconds", "When the numbers of OPcache were read, in seconds since the epoch.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.At.UnixNano()) / 1e9 }),
	opcacheFamily("hits_total", "Scripts that were found in OPcache.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Hits) }),
	opcacheFamily("misses_total", "Scripts that were not found in OPcache.",
		prometheus.CounterValue, func(o *opcache.Sample) float64 { return float64(o.Misses) }),
	opcacheFamily("full", "Whether OPcache takes no more scripts.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(bit(o.Full)) }),
	opcacheFamily("restart_pending", "Whether OPcache waits to be emptied; until then every script is compiled anew.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(bit(!o.Enabled)) }),
	opcacheFamilyPer("state", "memory_bytes", "Memory of OPcache: used, free, or wasted by scripts that have changed.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"used": o.Memory.Used, "free": o.Memory.Free, "wasted": o.Memory.Wasted}
		}),
	opcacheFamily("scripts", "Scripts in OPcache.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Scripts) }),
	opcacheFamily("keys", "Keys in OPcache's hash table; a script may have several.",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.Keys) }),
	opcacheFamily("keys_max", "The most keys there may be (opcache.max_accelerated_files).",
		prometheus.GaugeValue, func(o *opcache.Sample) float64 { return float64(o.MaxKeys) }),
	opcacheFamilyPer("state", "interned_strings_bytes", "OPcache's memory for interned strings.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.Strings == nil {
				return nil
			}
			return map[string]int64{"used": o.Strings.Used, "free": o.Strings.Free}
		}),
	opcacheFamilyPer("state", "jit_buffer_bytes", "The buffer of the JIT compiler.",
		prometheus.GaugeValue, func(o *opcache.Sample) map[string]int64 {
			if o.JIT == nil {
				return nil
			}
			return map[string]int64{"used": o.JIT.Size - o.JIT.Free, "free": o.JIT.Free}
		}),
	opcacheFamilyPer("reason", "restarts_total", "Restarts of OPcache: for want of memory or of keys (hash), or by request.",
		prometheus.CounterValue, func(o *opcache.Sample) map[string]int64 {
			return map[string]int64{"out_of_memory": o.Restarts.OOM, "hash": o.Restarts.Hash, "manual": o.Restarts.Manual}
		}),
}

// opcacheFamily describes one number of OPcache.
func opcacheFamily(name, help string, kind prometheus.ValueType, value func(*opcache.Sample) float64) family {
	return newFamily("opcache_"+name, help, func(d *prometheus.Desc, s *scrape) {
		if s.opcache != nil {
			s.send(d, kind, value(s.opcache))
		}
	})
}

// opcacheFamilyPer describes several of them, told apart by a label.
func opcacheFamilyPer(label, name, help string, kind prometheus.ValueType, values func(*opcache.Sample) map[string]int64) family {
	return newFamily("opcache_"+name, help, func(d *prometheus.Desc, s *scrape) {
		if s.opcache == nil {
			return
		}
		for of, value := range values(s.opcache) {
			s.send(d, kind, float64(value), of)
		}
	}, label)
}
