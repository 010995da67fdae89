package status

import (
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// workerActivityJSON describes a worker and its current activity.
type workerActivityJSON struct {
	workerJSON
	// Backtrace has the PHP function calls, innermost first. BlockedOn names the
	// system call that the process is blocked in.
	Backtrace []string `json:"backtrace,omitempty"`
	BlockedOn string   `json:"blocked_on,omitempty"`
	// BacktraceError says why one of the two is not available.
	BacktraceError string `json:"backtrace_error,omitempty"`
}

// describeActivity describes the workers that wanted selects, with the current
// activity of those that run a script.
func describeActivity(p *live.Pool, wanted func(id uint64) bool, fullURI bool) []workerActivityJSON {
	used := p.Sampler.Sample(p.Pool)
	depth := 0
	if plan, _ := p.Active(); plan != nil {
		depth = plan.Settings.BacktraceDepth
	}
	list := []workerActivityJSON{}
	for _, w := range p.Pool.Workers() {
		if !wanted(w.ID) {
			continue
		}
		out := workerActivityJSON{workerJSON: describeWorker(&w, used[w.ID], fullURI)}
		if w.State == pool.Busy || w.State == pool.Draining {
			activity, err := w.Process.Activity(depth)
			out.Backtrace, out.BlockedOn = activity.Backtrace, activity.BlockedOn
			if err != nil {
				out.BacktraceError = err.Error()
			}
		}
		list = append(list, out)
	}
	return list
}
