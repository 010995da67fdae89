package caddymodule

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// fpmStatus has the keys of php-fpm's status page, in its order
// (sapi/fpm/fpm/fpm_status.c).
type fpmStatus struct {
	Pool               string       `json:"pool"`
	Manager            pool.Manager `json:"process manager"`
	StartTime          int64        `json:"start time"`
	StartSince         int64        `json:"start since"`
	AcceptedConn       uint64       `json:"accepted conn"`
	ListenQueue        int          `json:"listen queue"`
	MaxListenQueue     int          `json:"max listen queue"`
	ListenQueueLen     int          `json:"listen queue len"`
	IdleProcesses      int          `json:"idle processes"`
	ActiveProcesses    int          `json:"active processes"`
	TotalProcesses     int          `json:"total processes"`
	MaxActiveProcesses int          `json:"max active processes"`
	MaxChildrenReached uint64       `json:"max children reached"`
	SlowRequests       uint64       `json:"slow requests"`
	Processes          []fpmProcess `json:"processes,omitempty"`
}

type fpmProcess struct {
	PID             int    `json:"pid"`
	State           string `json:"state"`
	StartTime       int64  `json:"start time"`
	StartSince      int64  `json:"start since"`
	Requests        int    `json:"requests"`
	RequestDuration int64  `json:"request duration"` // microseconds
	RequestMethod   string `json:"request method"`
	RequestURI      string `json:"request uri"`
	Script          string `json:"script"`
}

// fpmStatusOf takes the state of a pool; full adds the workers.
func fpmStatusOf(p *pool.Pool, full bool) fpmStatus {
	s, now := p.Stats(), time.Now()
	out := fpmStatus{
		Pool: s.Name, Manager: s.Manager,
		StartTime: now.Add(-s.Uptime).Unix(), StartSince: int64(s.Uptime.Seconds()),
		AcceptedConn: s.Requests.Total, ListenQueue: s.Queue.Length,
		MaxListenQueue: s.Queue.MaxLength, ListenQueueLen: s.Queue.Max,
		IdleProcesses: s.Workers.Idle, ActiveProcesses: s.Workers.Busy + s.Workers.Draining,
		TotalProcesses:     s.Workers.Idle + s.Workers.Busy + s.Workers.Draining,
		MaxActiveProcesses: s.Workers.MaxBusy, MaxChildrenReached: s.Workers.MaxReached,
		SlowRequests: s.Requests.Slow,
	}
	if !full {
		return out
	}
	for _, w := range p.Workers() {
		state := "Idle"
		if w.State == pool.Busy || w.State == pool.Draining {
			state = "Running"
		}
		out.Processes = append(out.Processes, fpmProcess{
			PID: w.PID, State: state, StartTime: now.Add(-w.Age).Unix(), StartSince: int64(w.Age.Seconds()),
			Requests: w.Requests, RequestDuration: w.Running.Microseconds(),
			RequestMethod: w.Request.Method, RequestURI: w.Request.URI, Script: w.Request.Script,
		})
	}
	return out
}
