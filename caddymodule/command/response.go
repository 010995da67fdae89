package command

// poolInfo is a pool in the responses of the admin API.
type poolInfo struct {
	Name        string `json:"name"`
	Manager     string `json:"manager"`
	Generation  int    `json:"generation"`
	Draining    bool   `json:"draining"`
	UntoldHTTPS bool   `json:"untold_https"`
	PHP         struct {
		Version string `json:"version"`
		Binary  string `json:"binary"`
		User    string `json:"user"`
		OPcache *bool  `json:"opcache"`
	} `json:"php"`
	Workers struct {
		Total      int    `json:"total"`
		Idle       int    `json:"idle"`
		Busy       int    `json:"busy"`
		Draining   int    `json:"draining"`
		Starting   int    `json:"starting"`
		Max        int    `json:"max"`
		MaxReached uint64 `json:"max_reached"`
	} `json:"workers"`
	AllPools *struct {
		Workers int  `json:"workers"`
		Max     int  `json:"max"`
		Limited bool `json:"limited"`
	} `json:"all_pools"`
	Queue struct {
		Length int `json:"length"`
		Max    int `json:"max"`
	} `json:"queue"`
	Requests struct {
		Open       int64  `json:"open"`
		Total      uint64 `json:"total"`
		Failed     uint64 `json:"failed"`
		Rejected   uint64 `json:"rejected"`
		Rejections struct {
			QueueFull   uint64 `json:"queue_full"`
			ClientLimit uint64 `json:"client_limit"`
			Quarantined uint64 `json:"quarantined"`
		} `json:"rejections"`
		Slow    uint64 `json:"slow"`
		Retried uint64 `json:"retried"`
	} `json:"requests"`
	Exits         map[string]uint64 `json:"exits"`
	WorkerScript  string            `json:"worker_script"`
	MasterExits   uint64            `json:"master_exits"`
	Uptime        float64           `json:"uptime_seconds"`
	Memory        *int64            `json:"memory_bytes"`
	LastCrash     *crashInfo        `json:"last_crash"`
	LastFailure   string            `json:"last_failure"`
	Quarantined   map[string]string `json:"quarantined"`
	WorkersList   []workerInfo      `json:"workers_list"`
	NewGeneration bool              `json:"new_generation"` // only after a scale call

	opcache *opcacheInfo // nil unless withOPcache has set it
}

// workerInfo is a worker.
type workerInfo struct {
	ID       uint64       `json:"id"`
	PID      int          `json:"pid"`
	State    string       `json:"state"`
	Requests int          `json:"requests"`
	Uptime   float64      `json:"uptime_seconds"`
	Memory   *int64       `json:"memory_bytes"`
	CPU      float64      `json:"cpu_seconds"`
	Request  *requestInfo `json:"request"`

	// Only in the responses of the path workers.
	Backtrace      []string `json:"backtrace"`
	BlockedOn      string   `json:"blocked_on"`
	BacktraceError string   `json:"backtrace_error"`
}

// requestInfo is the request that a worker runs, or ran when it crashed.
type requestInfo struct {
	Method   string  `json:"method"`
	URI      string  `json:"uri"`
	Script   string  `json:"script"`
	Duration float64 `json:"duration_seconds"`
}

// crashInfo is an unexpected exit of a worker.
type crashInfo struct {
	Time       string       `json:"time"`
	ExitStatus string       `json:"exit_status"`
	Request    *requestInfo `json:"request"`
}

// opcacheInfo is the OPcache of a pool.
type opcacheInfo struct {
	Available bool    `json:"available"`
	Reason    string  `json:"reason"`
	Scope     string  `json:"scope"`
	Full      bool    `json:"full"`
	HitRate   float64 `json:"hit_rate"`
	Scripts   int64   `json:"scripts"`
	Keys      int64   `json:"keys"`
	MaxKeys   int64   `json:"max_keys"`
	Memory    struct {
		Total  int64 `json:"total_bytes"`
		Used   int64 `json:"used_bytes"`
		Wasted int64 `json:"wasted_bytes"`
	} `json:"memory"`
	Strings *struct {
		Total int64 `json:"total_bytes"`
		Used  int64 `json:"used_bytes"`
		Free  int64 `json:"free_bytes"`
	} `json:"interned_strings"`
	Restarts struct {
		OOM        int64 `json:"oom"`
		Hash       int64 `json:"hash"`
		Pending    bool  `json:"pending"`
		InProgress bool  `json:"in_progress"`
	} `json:"restarts"`
	JIT *struct {
		On   bool  `json:"on"`
		Size int64 `json:"buffer_size_bytes"`
		Free int64 `json:"buffer_free_bytes"`
	} `json:"jit"`
	Configuration struct {
		Memory    int64 `json:"memory_consumption_bytes"`
		Strings   int64 `json:"interned_strings_buffer_bytes"`
		Files     int64 `json:"max_accelerated_files"`
		JITBuffer int64 `json:"jit_buffer_size_bytes"`
		Validate  bool  `json:"validate_timestamps"`
		Frequency int64 `json:"revalidate_freq_seconds"`
	} `json:"configuration"`
	Realpath struct {
		Used int64 `json:"used_bytes"`
		Max  int64 `json:"max_bytes"`
	} `json:"realpath_cache"`
}

// memory returns the private memory of the workers: the total of the pool if the
// response has it, else the sum over the listed workers.
func (p *poolInfo) memory() (n int64, known bool) {
	if p.Memory != nil {
		return *p.Memory, true
	}
	for i := range p.WorkersList {
		if m := p.WorkersList[i].Memory; m != nil {
			n += *m
			known = true
		}
	}
	return n, known
}

// scaleRequest is the body of a scale call.
type scaleRequest struct {
	MaxWorkers *int `json:"max_workers,omitempty"`
	MinWorkers *int `json:"min_workers,omitempty"`
}
