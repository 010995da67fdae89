package status

import (
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// workerActivityJSON is a worker with what it does at this moment.
type workerActivityJSON struct {
	workerJSON
	// Backtrace is the stack of PHP calls, the innermost first, BlockedOn what
	// the process waits for in the kernel.
	Backtrace []string `json:"backtrace,omitempty"`
	BlockedOn string   `json:"blocked_on,omitempty"`
	// BacktraceError is why there is no more to tell.
	BacktraceError string `json:"backtrace_error,omitempty"`
}

// describeActivity describes the workers that are wanted, with what those that run
// a script do at this moment.
func describeActivity(l *live.Pool, wanted func(id uint64) bool, fullURI bool) []workerActivityJSON {
	used := l.Sampler.Sample(l.Pool)
	list := []workerActivityJSON{}
	for _, w := range l.Pool.Workers() {
		if !wanted(w.ID) {
			continue
		}
		out := workerActivityJSON{workerJSON: describeWorker(&w, used[w.ID], fullURI)}
		if w.State == pool.Busy || w.State == pool.Draining {
			now, err := w.Process.Activity()
			out.Backtrace, out.BlockedOn = now.Backtrace, now.BlockedOn
			if err != nil {
				out.BacktraceError = err.Error()
			}
		}
		list = append(list, out)
	}
	return list
}
