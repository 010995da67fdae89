package status

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
	"github.com/mevdschee/caddy-php-pool/internal/human"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// poolJSON describes a pool in the admin API. Numbers are in bytes and seconds;
// fields ending in _human repeat some of them as readable text.
type poolJSON struct {
	Name         string               `json:"name"`
	Manager      pool.Manager         `json:"manager"`
	Spawn        string               `json:"spawn,omitempty"`
	Generation   int                  `json:"generation"`
	Draining     bool                 `json:"draining"`               // the pool itself, on request
	UntoldHTTPS  bool                 `json:"untold_https,omitempty"` // see live.Pool
	PHP          *phpJSON             `json:"php,omitempty"`
	WorkerScript string               `json:"worker_script,omitempty"` // absent in an ordinary pool
	Workers      workersJSON          `json:"workers"`
	AllPools     *allPoolsJSON        `json:"all_pools,omitempty"`
	Threads      *threads.Status      `json:"threads,omitempty"` // of Caddy; absent if the option is off
	Queue        queueJSON            `json:"queue"`
	Requests     requestsJSON         `json:"requests"`
	Exits        map[string]uint64    `json:"exits"`
	Launches     uint64               `json:"launches"`
	LaunchTime   float64              `json:"launch_seconds_total"`
	Restarts     uint64               `json:"restarts"`
	MasterExits  uint64               `json:"master_exits"`
	Uptime       float64              `json:"uptime_seconds"`
	Memory       *int64               `json:"memory_bytes,omitempty"` // absent if the system does not report it
	MemoryHuman  string               `json:"memory_human,omitempty"`
	LastCrash    *crashJSON           `json:"last_crash,omitempty"`
	LastFailure  string               `json:"last_failure,omitempty"`
	Quarantined  map[string]string    `json:"quarantined,omitempty"`
	OPcache      *opcache.Description `json:"opcache,omitempty"`
	WorkersList  []workerJSON         `json:"workers_list,omitzero"` // absent if not requested, [] if the pool has no workers
	Sizing       *poolcfg.Sizing      `json:"sizing,omitempty"`
	SpooledBytes int64                `json:"spooled_bytes"`
	SpooledHuman string               `json:"spooled_human"`
}

type phpJSON struct {
	Version string `json:"version"`
	Binary  string `json:"binary"`
	SAPI    string `json:"sapi"`
	User    string `json:"user"` // empty if PHP runs as Caddy's own user
	// Confined says what PHP cannot reach although it runs as Caddy's own user.
	Confined *poolcfg.Confinement `json:"confined,omitempty"`

	ZTS      bool     `json:"zts"`
	OPcache  bool     `json:"opcache"`
	JIT      bool     `json:"jit"`
	Features []string `json:"features"`
	// Functions are those that php_pool has defined.
	Functions poolcfg.Functions `json:"functions"`
}

type workersJSON struct {
	Total    int `json:"total"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Draining int `json:"draining"`
	Starting int `json:"starting"`
	Stopping int `json:"stopping"`
	Max      int `json:"max"`
	// MaxReached counts requests that waited because Max workers existed.
	MaxReached uint64 `json:"max_reached"`
	Preforked  int    `json:"preforked"`
}

// allPoolsJSON describes all pools together. It is absent without max_workers_total.
// Limited reports that the pool needs a worker and may not start it.
type allPoolsJSON struct {
	Workers int  `json:"workers"`
	Max     int  `json:"max"`
	Limited bool `json:"limited"`
}

type queueJSON struct {
	Length    int     `json:"length"`
	Max       int     `json:"max"`
	WaitTotal float64 `json:"wait_seconds_total"`
}

type requestsJSON struct {
	// Open counts those that are here now: from the look-up of the script to the last
	// byte of the response.
	Open       int64          `json:"open"`
	Total      uint64         `json:"total"`
	Failed     uint64         `json:"failed"`
	Rejected   uint64         `json:"rejected"`
	Rejections rejectionsJSON `json:"rejections"`
	Slow       uint64         `json:"slow"`
	Retried    uint64         `json:"retried"`
	TimedOut   uint64         `json:"timed_out"`
}

// rejectionsJSON counts rejected requests by reason.
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

// crashJSON describes the latest crash of a worker. Request is absent if the worker
// was idle; its duration_seconds is the time until the crash. ExitStatus is absent
// if the system does not report it.
type crashJSON struct {
	Time       string       `json:"time"`
	Worker     uint64       `json:"worker"`
	PID        int          `json:"pid"`
	ExitStatus string       `json:"exit_status,omitempty"`
	Request    *requestJSON `json:"request,omitempty"`
}

// detail selects the optional parts of a pool's description.
type detail struct {
	workers bool // workers_list
	opcache bool // the latest sample of OPcache
	fullURI bool // queries in the URIs of requests
}

// describePool describes the current state of the pool.
func describePool(p *live.Pool, d detail) poolJSON {
	used := p.Sampler.Sample(p.Pool)
	s, workers := p.Pool.Snapshot()
	out := poolJSON{
		Name: s.Name, Manager: s.Manager, Generation: s.Generation, Draining: p.Drained(), UntoldHTTPS: p.UntoldHTTPS.Load(),
		Workers: workersJSON{
			Total: s.Workers.Total, Idle: s.Workers.Idle, Busy: s.Workers.Busy,
			Draining: s.Workers.Draining, Starting: s.Workers.Starting, Stopping: s.Workers.Stopping,
			Max: s.Workers.Max, MaxReached: s.Workers.MaxReached, Preforked: s.Workers.Preforked,
		},
		Queue: queueJSON{s.Queue.Length, s.Queue.Max, s.Queue.WaitTotal.Seconds()},
		Requests: requestsJSON{
			Open: p.InUse(), Total: s.Requests.Total, Failed: s.Requests.Failed,
			Rejected: s.Requests.Rejected, Rejections: rejectionsJSON(s.Requests.Rejections),
			Slow: s.Requests.Slow, Retried: s.Requests.Retried, TimedOut: s.Requests.TimedOut,
		},
		Exits: map[string]uint64{}, Launches: s.Launches, LaunchTime: s.LaunchTime.Seconds(), Restarts: s.Restarts, MasterExits: s.MasterExits, Uptime: s.Uptime.Seconds(),
		SpooledBytes: p.Spool.InFiles(),
	}
	out.Threads = threads.Current()
	if s.AllPools.Max > 0 {
		out.AllPools = &allPoolsJSON{s.AllPools.Workers, s.AllPools.Max, s.AllPools.Limited}
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
	describePHP(p, &out)
	out.describeMemory(workers, used)
	if d.opcache {
		p.OPcache.Refresh()
		cache := p.OPcache.Describe()
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

// describePHP sets the fields that come from the active settings.
func describePHP(p *live.Pool, out *poolJSON) {
	plan, _ := p.Active()
	if plan == nil {
		return
	}
	b := plan.Binary
	out.Spawn, out.Sizing = plan.Spawn, plan.Sizing
	if plan.Worker != nil {
		out.WorkerScript = plan.Worker.Script
	}
	out.PHP = &phpJSON{
		Version: b.VersionText, Binary: b.Path, SAPI: b.SAPI, User: userOf(plan), Confined: plan.Confinement, ZTS: b.ZTS, OPcache: b.OPcache, JIT: b.JIT,
		Features: b.Features().List(), Functions: plan.Functions,
	}
}

// userOf returns the name of the user that PHP runs as, "" if that is Caddy's own.
func userOf(plan *poolcfg.Plan) string {
	if plan.Process.Credential == nil || plan.User == nil {
		return ""
	}
	return plan.User.Name
}

// describeMemory sets the memory to the sum of the workers' private memory.
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
		ID: w.ID, PID: w.PID, State: w.StateName(), Generation: w.Generation,
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
