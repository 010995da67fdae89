package command

import "encoding/json"

// poolAnswer is what the admin API tells of a pool.
type poolAnswer struct {
	Name       string `json:"name"`
	Manager    string `json:"manager"`
	Generation int    `json:"generation"`
	PHP        struct {
		Version string `json:"version"`
		Binary  string `json:"binary"`
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
	Queue struct {
		Length int `json:"length"`
		Max    int `json:"max"`
	} `json:"queue"`
	Requests struct {
		Total   uint64 `json:"total"`
		Failed  uint64 `json:"failed"`
		Refused uint64 `json:"refused"`
		Slow    uint64 `json:"slow"`
		Retried uint64 `json:"retried"`
	} `json:"requests"`
	Exits         map[string]uint64 `json:"exits"`
	Restarts      uint64            `json:"restarts"`
	Uptime        float64           `json:"uptime_seconds"`
	Memory        *int64            `json:"memory_bytes"`
	LastFailure   string            `json:"last_failure"`
	Quarantined   map[string]string `json:"quarantined"`
	WorkersList   []workerAnswer    `json:"workers_list"`
	NewGeneration bool              `json:"new_generation"` // of a scale call
}

// workerAnswer is what it tells of a worker.
type workerAnswer struct {
	ID       uint64         `json:"id"`
	PID      int            `json:"pid"`
	State    string         `json:"state"`
	Requests int            `json:"requests"`
	Uptime   float64        `json:"uptime_seconds"`
	Memory   *int64         `json:"memory_bytes"`
	CPU      float64        `json:"cpu_seconds"`
	Request  *requestAnswer `json:"request"`
}

type requestAnswer struct {
	Method string  `json:"method"`
	URI    string  `json:"uri"`
	Script string  `json:"script"`
	Since  float64 `json:"since_seconds"`
}

// memory is what the workers have for themselves: the pool's own figure, else
// the sum over those that are listed.
func (p *poolAnswer) memory() (int64, bool) {
	if p.Memory != nil {
		return *p.Memory, true
	}
	var sum int64
	known := false
	for i := range p.WorkersList {
		if n := p.WorkersList[i].Memory; n != nil {
			sum += *n
			known = true
		}
	}
	return sum, known
}

// scaleRequest is the body of a scale call.
type scaleRequest struct {
	MaxWorkers *int `json:"max_workers,omitempty"`
	MinWorkers *int `json:"min_workers,omitempty"`
}

// raw is an answer that is passed on as it came.
type raw = json.RawMessage
