package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// metrics has all metrics. docs/monitoring.md explains them, and the Grafana
// dashboard shows each of them.
var metrics = append([]metric{
	newMetric("info", "PHP version, spawn mode and manager of the pool; always 1.", collectInfo, "version", "spawn", "manager"),
	gauge("up", "1 if the pool can serve requests, even if they wait for a worker first.",
		func(s *poolSample) int { return boolToInt(s.ready) }),
	gauge("draining", "1 if the pool is drained on request: its ping responds with 503.",
		func(s *poolSample) int { return boolToInt(s.pool.Drained()) }),
	gauge("start_time_seconds", "Start time of the pool, in seconds since the epoch.",
		func(s *poolSample) float64 { return float64(s.stats.Started.UnixNano()) / 1e9 }),
	gauge("generation", "Number of the active generation.",
		func(s *poolSample) int { return s.stats.Generation }),

	newMetric("workers", "Workers by state.", collectWorkers, "state"),
	gauge("workers_min", "Minimum number of workers.",
		func(s *poolSample) int { return s.stats.Workers.Min }),
	gauge("workers_max", "Maximum number of workers.",
		func(s *poolSample) int { return s.stats.Workers.Max }),
	gauge("workers_preforked", "Preforked php-cgi children that no worker uses yet.",
		func(s *poolSample) int { return s.stats.Workers.Preforked }),
	counter("workers_max_reached_total", "Requests that waited because the pool was at workers_max.",
		func(s *poolSample) uint64 { return s.stats.Workers.MaxReached }),
	newMetric("workers_memory_bytes", "Private memory of the workers, without memory that they share.", collectMemory),
	counter("worker_launches_total", "Workers launched.",
		func(s *poolSample) uint64 { return s.stats.Launches }),
	counter("worker_launch_seconds_total", "Time that the launches of workers took, including the start of worker scripts.",
		func(s *poolSample) float64 { return s.stats.LaunchTime.Seconds() }),
	newMetric("worker_exits_total", "Workers that exited, by reason.", collectExits, "reason"),
	counter("restarts_total", "Generations that replaced another one on request: by a restart, scaling, a reload or watch.",
		func(s *poolSample) uint64 { return s.stats.Restarts }),
	counter("master_exits_total", "Unexpected exits of a php-cgi master process.",
		func(s *poolSample) uint64 { return s.stats.MasterExits }),

	gauge("queue_length", "Requests waiting for a worker.",
		func(s *poolSample) int { return s.stats.Queue.Length }),
	gauge("queue_max", "Maximum number of waiting requests (max_queue); more are rejected.",
		func(s *poolSample) int { return s.stats.Queue.Max }),
	histogram("queue_wait_seconds", "Time that requests waited for a worker, including those that gave up.",
		func(t *pool.Times) *pool.Histogram { return &t.Wait }),

	counter("requests_total", "Requests that had a worker and have ended.",
		func(s *poolSample) uint64 { return s.stats.Requests.Total }),
	counter("requests_failed_total", "Requests that got no response from PHP.",
		func(s *poolSample) uint64 { return s.stats.Requests.Failed }),
	newMetric("requests_rejected_total", "Requests rejected without a worker, by reason.", collectRejections, "reason"),
	counter("requests_retried_total", "Requests retried on a second worker because the first one exited.",
		func(s *poolSample) uint64 { return s.stats.Requests.Retried }),
	counter("requests_slow_total", "Requests that took longer than slow_request.",
		func(s *poolSample) uint64 { return s.stats.Requests.Slow }),
	counter("requests_timed_out_total", "Requests that exceeded request_timeout.",
		func(s *poolSample) uint64 { return s.stats.Requests.TimedOut }),
	counter("requests_client_closed_total", "Requests whose client closed the connection before the response was complete.",
		func(s *poolSample) uint64 { return s.pool.ClientsClosed.Load() }),
	histogram("request_duration_seconds", "Time that requests held a worker.",
		func(t *pool.Times) *pool.Histogram { return &t.Request }),
	histogram("time_to_first_byte_seconds", "Time from the lease of a worker to the first byte of its response.",
		func(t *pool.Times) *pool.Histogram { return &t.FirstByte }),

	gauge("spooled_bytes", "Request bodies in spool files, in bytes.",
		func(s *poolSample) int64 { return s.pool.Spool.InFiles() }),
	gauge("quarantined_scripts", "Scripts in quarantine because they crashed too many workers, once for each path.",
		func(s *poolSample) int { return len(s.stats.Quarantined) }),
}, opcacheMetrics...)

func collectInfo(d *prometheus.Desc, s *poolSample) {
	if s.plan == nil {
		return
	}
	s.send(d, prometheus.GaugeValue, 1, s.plan.Binary.VersionText, s.plan.Spawn, string(s.stats.Manager))
}

func collectWorkers(d *prometheus.Desc, s *poolSample) {
	w := &s.stats.Workers
	for _, count := range []struct {
		state pool.State
		n     int
	}{
		{pool.Starting, w.Starting},
		{pool.Idle, w.Idle},
		{pool.Busy, w.Busy},
		{pool.Draining, w.Draining},
		{pool.Stopping, w.Stopping},
	} {
		s.send(d, prometheus.GaugeValue, float64(count.n), count.state.String())
	}
}

// collectRejections exports every reason even if its count is 0; see collectExits.
func collectRejections(d *prometheus.Desc, s *poolSample) {
	for _, count := range []struct {
		reason string
		n      uint64
	}{
		{"queue_full", s.stats.Requests.Rejections.QueueFull},
		{"client_limit", s.stats.Requests.Rejections.ClientLimit},
		{"quarantined", s.stats.Requests.Rejections.Quarantined},
	} {
		s.send(d, prometheus.CounterValue, float64(count.n), count.reason)
	}
}

// collectExits exports every reason even if its count is 0: rate() does not see the
// first event of a series that appears with it.
func collectExits(d *prometheus.Desc, s *poolSample) {
	for _, r := range pool.Reasons() {
		s.send(d, prometheus.CounterValue, float64(s.stats.Exits[r]), r.String())
	}
}

// collectMemory omits the metric if the system does not report memory.
func collectMemory(d *prometheus.Desc, s *poolSample) {
	used := s.pool.Sampler.Sample(s.pool.Pool)
	var sum int64
	known := len(used) == 0
	for _, u := range used {
		sum += u.Memory
		known = known || u.Known
	}
	if known {
		s.send(d, prometheus.GaugeValue, float64(sum))
	}
}
