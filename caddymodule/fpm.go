package caddymodule

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// fpmPage is php-fpm's status page of a pool: the fields of PHP 8.2 in their
// order, whatever the format (sapi/fpm/fpm/fpm_status.c). Where the words do
// not fit, this is what stands in the fields:
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
type fpmPage struct {
	pool      []fpmField
	full      bool
	processes [][]fpmField
}

// fpmField is one line of the page. Its value is a string, an integer, a
// percentage or a moment.
type fpmField struct {
	name  string
	value any
}

// percentage is written with two decimals.
type percentage float64

// fpmPage takes the state of the pool; full adds the workers, fullURI the
// queries of their requests.
func (l *livePool) fpmPage(full, fullURI bool) *fpmPage {
	if !full {
		s := l.pool.Stats()
		return &fpmPage{pool: fpmPool(&s)}
	}
	used := l.sampler.of(l.pool)
	s, workers := l.pool.Snapshot()
	page := &fpmPage{pool: fpmPool(&s), full: true}
	for _, w := range workers {
		if w.State == pool.Stopping {
			continue // it does not count as a process any more
		}
		page.processes = append(page.processes, fpmProcess(&w, used[w.ID], fullURI))
	}
	return page
}

func fpmPool(s *pool.Stats) []fpmField {
	active := s.Workers.Busy + s.Workers.Draining
	return []fpmField{
		{"pool", s.Name},
		{"process manager", string(s.Manager)},
		{"start time", s.Born},
		{"start since", secondsSince(s.Born)},
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

func fpmProcess(w *pool.WorkerStats, used usage, fullURI bool) []fpmField {
	state, requests, took, info := "Idle", w.Requests, w.Took, w.Last
	if w.State == pool.Busy || w.State == pool.Draining {
		// What the worker uses is shown when its request has ended, as php-fpm
		// does.
		state, took, info, used = "Running", w.Running, w.Request, usage{}
	}
	if w.State == pool.Busy {
		requests++ // php-fpm counts them as they begin
	}
	if requests == 0 {
		used = usage{}
	}
	return []fpmField{
		{"pid", w.PID},
		{"state", state},
		{"start time", w.Born},
		{"start since", secondsSince(w.Born)},
		{"requests", requests},
		{"request duration", took.Microseconds()},
		{"request method", orDash(info.Method)},
		{"request uri", orDash(shownURI(&info, fullURI))},
		{"content length", info.ContentLength},
		{"user", orDash(info.User)},
		{"script", orDash(info.Script)},
		{"last request cpu", percentage(used.share)},
		{"last request memory", used.memory},
	}
}

// shownURI is the URI of a request, with its query only where that is asked
// for: it may hold what not everybody who may see the status should see.
func shownURI(info *pool.Info, full bool) string {
	if full && info.Query != "" {
		return info.URI + "?" + info.Query
	}
	return info.URI
}

// secondsSince counts as php-fpm does: in whole seconds of the clock.
func secondsSince(t time.Time) int64 { return max(0, time.Now().Unix()-t.Unix()) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
