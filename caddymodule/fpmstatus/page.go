// Package fpmstatus writes php-fpm's status page of a pool: the fields of PHP
// 8.2 or 8.4 in their order, in each of its formats (sapi/fpm/fpm/fpm_status.c), so that
// whoever reads php-fpm's reads ours. Where the words do not fit, this is what
// stands in the fields:
//
//   - accepted conn: requests that got a worker. Asking for this page takes none,
//     so it does not count itself.
//   - listen queue: requests that wait for a worker; its length is max_queue.
//   - active processes: workers that run PHP, also when the client has left.
//   - max children reached: how often a request waited although there were as
//     many workers as there may be.
//   - request uri: what the client asked for, before rewrites; php-fpm shows the
//     script. The query is there only where it is asked for.
//   - last request cpu: how much of the time in which the worker ran requests it
//     was computing, in percent: of the last 100 ms of such time or more, not of
//     one request alone. php-fpm asks the system after each request.
//   - last request memory: what the worker has for itself now, in bytes, not more
//     than a second ago. php-fpm shows the peak of memory_get_peak_usage, which
//     only PHP knows.
//   - memory peak, from PHP 8.4 on: always 0, as in a php-fpm before its first
//     request. php-fpm shows the highest memory_get_peak_usage of all requests,
//     which php-cgi does not report.
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

// field is one line of the page. Its value is a string, an integer, a
// percentage or a moment.
type field struct {
	name  string
	value any
}

// percentage is written with two decimals.
type percentage float64

// Short is the page without its workers.
func Short(s *pool.Stats) *Page { return &Page{pool: poolFields(s)} }

// Worker is one process of the full page.
type Worker struct {
	pool.WorkerStats
	CPU    float64 // in percent
	Memory int64   // in bytes
}

// Full is the page with its workers; fullURI adds the queries of their
// requests, which may hold what not everybody who may see the status should see.
func Full(s *pool.Stats, workers []Worker, fullURI bool) *Page {
	p := &Page{pool: poolFields(s), full: true}
	for i := range workers {
		if workers[i].State != pool.Stopping { // then it does not count as a process any more
			p.processes = append(p.processes, processFields(&workers[i], fullURI))
		}
	}
	return p
}

// AddMemoryPeak adds the field that php-fpm's page has at the end of the pool's
// since PHP 8.4. It is 0: nothing but PHP knows the value.
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
		// What the worker uses is shown when its request has ended, as php-fpm
		// does.
		cpu, memory = 0, 0
	}
	if w.State == pool.Busy {
		requests++ // php-fpm counts them as they begin
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

// secondsSince counts as php-fpm does: in whole seconds of the clock.
func secondsSince(t time.Time) int64 { return max(0, time.Now().Unix()-t.Unix()) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
