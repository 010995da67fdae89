package caddymodule

import "github.com/mevdschee/caddy-php-pool/pool"

// backtraceDepth is how many calls the slow log shows, as php-fpm's does
// (request_slowlog_trace_depth).
const backtraceDepth = 20

// Explain says where the script is and what its process waits for.
func (p process) Explain() (pool.Explanation, error) {
	frames, err := p.Backtrace(backtraceDepth + 1)
	var e pool.Explanation
	for i, f := range frames {
		if i == backtraceDepth {
			e.Backtrace = append(e.Backtrace, "…")
			break
		}
		e.Backtrace = append(e.Backtrace, f.String())
	}
	if wait, err := p.Waiting(); err == nil {
		e.WaitingOn = wait.String()
	}
	return e, err
}
