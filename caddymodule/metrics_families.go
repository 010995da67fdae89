package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// metrics are all metrics there are. The Grafana dashboard is made of these
// names, and docs/monitoring.md explains them.
var metrics = append([]metric{
	newMetric("info", "What the pool runs; always 1.", collectInfo, "version", "spawn", "manager"),
	gauge("up", "Whether a request could be served now, if only after waiting for a worker.",
		func(s *poolSample) int { return boolToInt(s.ready) }),
	gauge("start_time_seconds", "When the pool began, in seconds since the epoch.",
		func(s *poolSample) float64 { return float64(s.stats.Started.UnixNano()) / 1e9 }),
	gauge("generation", "The number of the generation of workers that serves.",
		func(s *poolSample) int { return s.stats.Generation }),

	newMetric("workers", "Workers by state.", collectWorkers, "state"),
	gauge("workers_min", "The fewest workers that the settings allow.",
		func(s *poolSample) int { return s.stats.Workers.Min }),
	gauge("workers_max", "The most workers that the settings allow.",
		func(s *poolSample) int { return s.stats.Workers.Max }),
	gauge("workers_standby", "Places for workers that the generation has free, a forked process in each.",
		func(s *poolSample) int { return s.stats.Workers.Preforked }),
	counter("workers_max_reached_total", "Requests that had to wait because there were as many workers as allowed.",
		func(s *poolSample) uint64 { return s.stats.Workers.MaxReached }),
	newMetric("memory_bytes", "Memory that the workers have for themselves, without what they share.", collectMemory),
	counter("worker_launches_total", "Workers that have come.",
		func(s *poolSample) uint64 { return s.stats.Launches }),
	newMetric("worker_exits_total", "Workers that have gone, by reason.", collectExits, "reason"),
	counter("restarts_total", "Generations that were lost because their master process ended.",
		func(s *poolSample) uint64 { return s.stats.MasterExits }),

	gauge("queue_length", "Requests that wait for a worker.",
		func(s *poolSample) int { return s.stats.Queue.Length }),
	gauge("queue_max", "How many requests may wait; one more is refused.",
		func(s *poolSample) int { return s.stats.Queue.Max }),
	histogram("queue_wait_seconds", "Time that requests waited for a worker, those included that gave up.",
		func(t *pool.Times) *pool.Histogram { return &t.Wait }),

	counter("requests_total", "Requests that had a worker, and have ended.",
		func(s *poolSample) uint64 { return s.stats.Requests.Total }),
	counter("requests_failed_total", "Requests that got no answer from PHP.",
		func(s *poolSample) uint64 { return s.stats.Requests.Failed }),
	counter("requests_refused_total", "Requests turned away, for want of room in line or for a quarantined script.",
		func(s *poolSample) uint64 { return s.stats.Requests.Rejected }),
	counter("requests_retried_total", "Requests sent to a second worker because the first was lost.",
		func(s *poolSample) uint64 { return s.stats.Requests.Retried }),
	counter("requests_slow_total", "Requests that took longer than slow_request.",
		func(s *poolSample) uint64 { return s.stats.Requests.Slow }),
	counter("requests_overtime_total", "Requests that ran out of request_timeout.",
		func(s *poolSample) uint64 { return s.stats.Requests.TimedOut }),
	counter("requests_client_gone_total", "Requests whose client left before it had the whole answer.",
		func(s *poolSample) uint64 { return s.live.clientsClosed.Load() }),
	histogram("request_duration_seconds", "Time that requests had a worker.",
		func(t *pool.Times) *pool.Histogram { return &t.Request }),
	histogram("ttfb_seconds", "Time from having a worker to the first byte of its answer.",
		func(t *pool.Times) *pool.Histogram { return &t.FirstByte }),

	gauge("spooled_bytes", "Request bodies that are kept in files, until PHP has answered.",
		func(s *poolSample) int64 { return s.live.spool.InFiles() }),
	gauge("quarantined_scripts", "Scripts that are not run because they killed too many workers.",
		func(s *poolSample) int { return len(s.stats.Quarantined) }),
}, opcacheMetrics...)

func collectInfo(d *prometheus.Desc, s *poolSample) {
	if s.plan == nil {
		return
	}
	s.send(d, prometheus.GaugeValue, 1, s.plan.binary.VersionText, s.plan.spawn, string(s.stats.Manager))
}

func collectWorkers(d *prometheus.Desc, s *poolSample) {
	w := &s.stats.Workers
	for _, in := range []struct {
		state pool.State
		n     int
	}{
		{pool.Starting, w.Starting},
		{pool.Idle, w.Idle},
		{pool.Busy, w.Busy},
		{pool.Draining, w.Draining},
		{pool.Stopping, w.Stopping},
	} {
		s.send(d, prometheus.GaugeValue, float64(in.n), in.state.String())
	}
}

// collectExits names every reason from the start: a counter that begins to be
// there with its first event hides that event from rate().
func collectExits(d *prometheus.Desc, s *poolSample) {
	for _, r := range pool.Reasons() {
		s.send(d, prometheus.CounterValue, float64(s.stats.Exits[r]), r.String())
	}
}

// collectMemory leaves the metric out where the system does not tell.
func collectMemory(d *prometheus.Desc, s *poolSample) {
	used := s.live.sampler.sample(s.live.pool)
	var sum int64
	known := len(used) == 0
	for _, u := range used {
		sum += u.memory
		known = known || u.known
	}
	if known {
		s.send(d, prometheus.GaugeValue, float64(sum))
	}
}
