package status

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/internal/human"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// poolJSON is a pool as the admin API tells of it: raw numbers, bytes and
// seconds, with a text for people beside those that need one.
type poolJSON struct {
	Name         string               `json:"name"`
	Manager      pool.Manager         `json:"manager"`
	Spawn        string               `json:"spawn,omitempty"`
	Generation   int                  `json:"generation"`
	PHP          *phpJSON             `json:"php,omitempty"`
	Workers      workersJSON          `json:"workers"`
	Queue        queueJSON            `json:"queue"`
	Requests     requestsJSON         `json:"requests"`
	Exits        map[string]uint64    `json:"exits"`
	Launches     uint64               `json:"launches"`
	Restarts     uint64               `json:"restarts"`
	MasterExits  uint64               `json:"master_exits"`
	Uptime       float64              `json:"uptime_seconds"`
	Memory       *int64               `json:"memory_bytes,omitempty"` // none where the system does not tell
	MemoryHuman  string               `json:"memory_human,omitempty"`
	LastCrash    *crashJSON           `json:"last_crash,omitempty"`
	LastFailure  string               `json:"last_failure,omitempty"`
	Quarantined  map[string]string    `json:"quarantined,omitempty"`
	OPcache      *opcache.Description `json:"opcache,omitempty"`
	WorkersList  []workerJSON         `json:"workers_list,omitzero"` // empty is not none
	Sizing       *poolcfg.Sizing      `json:"sizing,omitempty"`
	SpooledBytes int64                `json:"spooled_bytes"`
	SpooledHuman string               `json:"spooled_human"`
}

type phpJSON struct {
	Version  string   `json:"version"`
	Binary   string   `json:"binary"`
	SAPI     string   `json:"sapi"`
	ZTS      bool     `json:"zts"`
	OPcache  bool     `json:"opcache"`
	JIT      bool     `json:"jit"`
	Features []string `json:"features"`
}

type workersJSON struct {
	Total    int `json:"total"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Draining int `json:"draining"`
	Starting int `json:"starting"`
	Stopping int `json:"stopping"`
	Max      int `json:"max"`
	// MaxReached counts requests that had to wait because there were Max workers.
	MaxReached uint64 `json:"max_reached"`
	Preforked  int    `json:"preforked"`
}

type queueJSON struct {
	Length    int     `json:"length"`
	Max       int     `json:"max"`
	WaitTotal float64 `json:"wait_seconds_total"`
}

type requestsJSON struct {
	Total      uint64         `json:"total"`
	Failed     uint64         `json:"failed"`
	Rejected   uint64         `json:"rejected"`
	Rejections rejectionsJSON `json:"rejections"`
	Slow       uint64         `json:"slow"`
	Retried    uint64         `json:"retried"`
	TimedOut   uint64         `json:"timed_out"`
}

// rejectionsJSON is requests.rejected by reason.
type rejectionsJSON struct {
	QueueFull   uint64 `json:"queue_full"`
	ClientLimit uint64 `json:"client_limit"`
	Quarantined uint64 `json:"quarantined"`
}

type workerJSON struct {
	ID          uint64       `json:"id"`
	PID         int          `json:"pid"`
	State       string       `json:"state"`
	Generation  int          `json:"generation"`
	Requests    int          `json:"requests"`
	Uptime      float64      `json:"uptime_seconds"`
	Idle        float64      `json:"idle_seconds"`
	Memory      *int64       `json:"memory_bytes,omitempty"`
	MemoryHuman string       `json:"memory_human,omitempty"`
	CPU         float64      `json:"cpu_seconds"`
	Request     *requestJSON `json:"request,omitempty"`
}

type requestJSON struct {
	Method   string  `json:"method"`
	URI      string  `json:"uri"`
	Script   string  `json:"script"`
	Duration float64 `json:"duration_seconds"`
}

// crashJSON is the latest crash of a worker. Request is missing where it had
// none, since_seconds in it is how long that had run; Ended is missing where the
// system does not tell.
type crashJSON struct {
	Time       string       `json:"time"`
	Worker     uint64       `json:"worker"`
	PID        int          `json:"pid"`
	ExitStatus string       `json:"exit_status,omitempty"`
	Request    *requestJSON `json:"request,omitempty"`
}

// detail is what is told of a pool beside its numbers.
type detail struct {
	workers bool // each of them
	opcache bool // the last sample of it
	fullURI bool // what they run with the query
}

// describePool takes the state of the pool.
func describePool(l *live.Pool, d detail) poolJSON {
	used := l.Sampler.Sample(l.Pool)
	s, workers := l.Pool.Snapshot()
	out := poolJSON{
		Name: s.Name, Manager: s.Manager, Generation: s.Generation,
		Workers: workersJSON{
			Total: s.Workers.Total, Idle: s.Workers.Idle, Busy: s.Workers.Busy,
			Draining: s.Workers.Draining, Starting: s.Workers.Starting, Stopping: s.Workers.Stopping,
			Max: s.Workers.Max, MaxReached: s.Workers.MaxReached, Preforked: s.Workers.Preforked,
		},
		Queue: queueJSON{s.Queue.Length, s.Queue.Max, s.Queue.WaitTotal.Seconds()},
		Requests: requestsJSON{
			Total: s.Requests.Total, Failed: s.Requests.Failed,
			Rejected: s.Requests.Rejected, Rejections: rejectionsJSON(s.Requests.Rejections),
			Slow: s.Requests.Slow, Retried: s.Requests.Retried, TimedOut: s.Requests.TimedOut,
		},
		Exits: map[string]uint64{}, Launches: s.Launches, Restarts: s.Restarts, MasterExits: s.MasterExits, Uptime: s.Uptime.Seconds(),
		SpooledBytes: l.Spool.InFiles(),
	}
	out.SpooledHuman = human.Bytes(out.SpooledBytes)
	for reason, n := range s.Exits {
		out.Exits[reason.String()] = n
	}
	out.LastCrash = describeCrash(&s.LastCrash, d.fullURI)
	if s.LastFailure != nil {
		out.LastFailure = s.LastFailure.Error()
	}
	for script, until := range s.Quarantined {
		if out.Quarantined == nil {
			out.Quarantined = map[string]string{}
		}
		out.Quarantined[script] = until.Format(time.RFC3339)
	}
	describePHP(l, &out)
	out.describeMemory(workers, used)
	if d.opcache {
		l.OPcache.Refresh()
		cache := l.OPcache.Describe()
		out.OPcache = &cache
	}
	if d.workers {
		out.WorkersList = []workerJSON{}
		for _, w := range workers {
			out.WorkersList = append(out.WorkersList, describeWorker(&w, used[w.ID], d.fullURI))
		}
	}
	return out
}

func describePHP(l *live.Pool, out *poolJSON) {
	current, _ := l.Active()
	if current == nil {
		return
	}
	b := current.Binary
	out.Spawn, out.Sizing = current.Spawn, current.Sizing
	out.PHP = &phpJSON{
		Version: b.VersionText, Binary: b.Path, SAPI: b.SAPI, ZTS: b.ZTS, OPcache: b.OPcache, JIT: b.JIT,
		Features: b.Features().List(),
	}
}

// describeMemory sums up what the workers have for themselves.
func (out *poolJSON) describeMemory(workers []pool.WorkerStats, used map[uint64]live.Usage) {
	var sum int64
	known := len(workers) == 0
	for _, w := range workers {
		u := used[w.ID]
		sum += u.Memory
		known = known || u.Known
	}
	if known {
		out.Memory, out.MemoryHuman = &sum, human.Bytes(sum)
	}
}

func describeCrash(c *pool.Crash, fullURI bool) *crashJSON {
	if c.Time.IsZero() {
		return nil
	}
	out := &crashJSON{Time: c.Time.Format(time.RFC3339), Worker: c.Worker, PID: c.PID, ExitStatus: c.ExitStatus}
	if c.Request.Method != "" {
		out.Request = &requestJSON{c.Request.Method, c.Request.ShownURI(fullURI), c.Request.Script, c.Duration.Seconds()}
	}
	return out
}

func describeWorker(w *pool.WorkerStats, used live.Usage, fullURI bool) workerJSON {
	out := workerJSON{
		ID: w.ID, PID: w.PID, State: w.State.String(), Generation: w.Generation,
		Requests: w.Requests, Uptime: w.Age.Seconds(), Idle: w.Idle.Seconds(),
		CPU: used.CPU.Seconds(),
	}
	if used.Known {
		out.Memory, out.MemoryHuman = &used.Memory, human.Bytes(used.Memory)
	}
	if w.Request.Method != "" {
		out.Request = &requestJSON{w.Request.Method, w.Request.ShownURI(fullURI), w.Request.Script, w.Running.Seconds()}
	}
	return out
}
