package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"
)

// sharedOPcache is the last sample of the OPcache that all workers share; nil
// if none is known. Where each worker has its own there is none: the sample is
// then of one worker or another, and a counter may not jump between them.
func (l *livePool) sharedOPcache() *opcacheSample {
	if l.opcacheScope() != scopePool {
		return nil
	}
	o, known := l.opcacheSample()
	if !known {
		return nil
	}
	return &o
}

// opcacheFamilies are missing, not 0, for a pool whose OPcache is not known.
var opcacheFamilies = []family{
	opcache("sampled_timestamp_seconds", "When the numbers of OPcache were read, in seconds since the epoch.",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(o.at.UnixNano()) / 1e9 }),
	opcache("hits_total", "Scripts that were found in OPcache.",
		prometheus.CounterValue, func(o *opcacheSample) float64 { return float64(o.Hits) }),
	opcache("misses_total", "Scripts that were not found in OPcache.",
		prometheus.CounterValue, func(o *opcacheSample) float64 { return float64(o.Misses) }),
	opcache("full", "Whether OPcache takes no more scripts.",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(bit(o.Full)) }),
	opcache("restart_pending", "Whether OPcache waits to be emptied; until then every script is compiled anew.",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(bit(!o.Enabled)) }),
	opcachePer("state", "memory_bytes", "Memory of OPcache: used, free, or wasted by scripts that have changed.",
		prometheus.GaugeValue, func(o *opcacheSample) map[string]int64 {
			return map[string]int64{"used": o.Memory.Used, "free": o.Memory.Free, "wasted": o.Memory.Wasted}
		}),
	opcache("scripts", "Scripts in OPcache.",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(o.Scripts) }),
	opcache("keys", "Keys in OPcache's hash table; a script may have several.",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(o.Keys) }),
	opcache("keys_max", "The most keys there may be (opcache.max_accelerated_files).",
		prometheus.GaugeValue, func(o *opcacheSample) float64 { return float64(o.MaxKeys) }),
	opcachePer("state", "interned_strings_bytes", "OPcache's memory for interned strings.",
		prometheus.GaugeValue, func(o *opcacheSample) map[string]int64 {
			if o.Strings == nil {
				return nil
			}
			return map[string]int64{"used": o.Strings.Used, "free": o.Strings.Free}
		}),
	opcachePer("state", "jit_buffer_bytes", "The buffer of the JIT compiler.",
		prometheus.GaugeValue, func(o *opcacheSample) map[string]int64 {
			if o.JIT == nil {
				return nil
			}
			return map[string]int64{"used": o.JIT.Size - o.JIT.Free, "free": o.JIT.Free}
		}),
	opcachePer("reason", "restarts_total", "Restarts of OPcache: for want of memory or of keys (hash), or by request.",
		prometheus.CounterValue, func(o *opcacheSample) map[string]int64 {
			return map[string]int64{"out_of_memory": o.Restarts.OOM, "hash": o.Restarts.Hash, "manual": o.Restarts.Manual}
		}),
}

// opcache describes one number of OPcache.
func opcache(name, help string, kind prometheus.ValueType, value func(*opcacheSample) float64) family {
	return newFamily("opcache_"+name, help, func(d *prometheus.Desc, s *scrape) {
		if s.opcache != nil {
			s.send(d, kind, value(s.opcache))
		}
	})
}

// opcachePer describes several of them, told apart by a label.
func opcachePer(label, name, help string, kind prometheus.ValueType, values func(*opcacheSample) map[string]int64) family {
	return newFamily("opcache_"+name, help, func(d *prometheus.Desc, s *scrape) {
		if s.opcache == nil {
			return
		}
		for of, value := range values(s.opcache) {
			s.send(d, kind, float64(value), of)
		}
	}, label)
}
