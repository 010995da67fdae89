// Package fpmstatus writes the status page of a pool in php-fpm's format, so that
// tools made for php-fpm can read it. The page has the fields of php-fpm 8.2, or 8.4,
// in the same order (see sapi/fpm/fpm/fpm_status.c in php-src). The short page has
// one field per line, `name: value`, about the pool; the full page adds a block of
// such lines for each process. Both exist as text, HTML, XML and JSON, and the pool's
// fields also in OpenMetrics format.
//
// These fields differ from those of php-fpm:
//
//   - accepted conn: requests that got a worker. A request for the status page needs
//     none, so it is not counted.
//   - listen queue: requests waiting for a worker. listen queue len is max_queue.
//   - active processes: workers running PHP, even if the client has disconnected.
//   - max children reached: how often a request had to wait because all workers were
//     busy and no more may be started.
//   - request uri: the URI of the client's request, before rewrites. php-fpm shows
//     that of the script. The query is included only if the caller wants it.
//   - last request cpu: CPU time in percent of the time in which the worker ran
//     requests, measured over at least 100 ms of that time. php-fpm measures the last
//     request only.
//   - last request memory: the private memory of the worker in bytes, measured at
//     most a second ago. php-fpm shows memory_get_peak_usage of the last request,
//     which php-cgi does not report.
//   - memory peak, since PHP 8.4: always 0. php-fpm shows the highest
//     memory_get_peak_usage of all requests, which php-cgi does not report.
package fpmstatus

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// Page is the status page of a pool.
type Page struct {
	pool      []field
	full      bool
	processes [][]field
}

// field is a field of the page. Its value is a string, an integer, a percentage or a
// time.Time.
type field struct {
	name  string
	value any
}

// percentage is written with two decimals.
type percentage float64

// Short returns the short page, without the workers.
func Short(s *pool.Stats) *Page { return &Page{pool: poolFields(s)} }

// Worker is a process of the full page.
type Worker struct {
	pool.WorkerStats
	CPU    float64 // last request cpu, in percent
	Memory int64   // last request memory, in bytes
}

// Full returns the full page, with the workers except those that are stopping.
// fullURI includes the query strings of their requests, which may contain secrets.
func Full(s *pool.Stats, workers []Worker, fullURI bool) *Page {
	p := &Page{pool: poolFields(s), full: true}
	for i := range workers {
		if workers[i].State != pool.Stopping { // "total processes" does not count it either
			p.processes = append(p.processes, processFields(&workers[i], fullURI))
		}
	}
	return p
}

// AddMemoryPeak adds the pool's last field since PHP 8.4. Its value is 0, because
// php-cgi does not report it.
func (p *Page) AddMemoryPeak() { p.pool = append(p.pool, field{"memory peak", 0}) }

func poolFields(s *pool.Stats) []field {
	active := s.Workers.Busy + s.Workers.Draining
	return []field{
		{"pool", s.Name},
		{"process manager", string(s.Manager)},
		{"start time", s.Started},
		{"start since", secondsSince(s.Started)},
		{"accepted conn", s.Requests.Total + uint64(s.Workers.Busy)},
		{"listen queue", s.Queue.Length},
		{"max listen queue", s.Queue.MaxLength},
		{"listen queue len", s.Queue.Max},
		{"idle processes", s.Workers.Idle},
		{"active processes", active},
		{"total processes", s.Workers.Idle + active},
		{"max active processes", s.Workers.MaxBusy},
		{"max children reached", s.Workers.MaxReached},
		{"slow requests", s.Requests.Slow},
	}
}

func processFields(w *Worker, fullURI bool) []field {
	state, requests, duration, info := "Idle", w.Requests, w.LastDuration, w.Last
	cpu, memory := w.CPU, w.Memory
	if w.State == pool.Busy || w.State == pool.Draining {
		state, duration, info = "Running", w.Running, w.Request
		// Like php-fpm, show CPU and memory only when the request has ended.
		cpu, memory = 0, 0
	}
	if w.Finishing {
		state = "Finishing"
	}
	if w.State == pool.Busy {
		requests++ // php-fpm counts a request when it begins
	}
	if requests == 0 {
		cpu, memory = 0, 0
	}
	return []field{
		{"pid", w.PID},
		{"state", state},
		{"start time", w.Started},
		{"start since", secondsSince(w.Started)},
		{"requests", requests},
		{"request duration", duration.Microseconds()},
		{"request method", orDash(info.Method)},
		{"request uri", orDash(info.ShownURI(fullURI))},
		{"content length", info.ContentLength},
		{"user", orDash(info.User)},
		{"script", orDash(info.Script)},
		{"last request cpu", percentage(cpu)},
		{"last request memory", memory},
	}
}

// secondsSince returns the difference of Unix times, as php-fpm does.
func secondsSince(t time.Time) int64 { return max(0, time.Now().Unix()-t.Unix()) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
