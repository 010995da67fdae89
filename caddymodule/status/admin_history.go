package status

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

// historyJSON has a column for each figure of a pool's history, with one value for each
// point of time.
type historyJSON struct {
	Interval float64 `json:"interval_seconds"`
	// Time is that of the points, in seconds since 1970.
	Time       []int64   `json:"time"`
	Requests   []uint64  `json:"requests"` // in the interval
	Failed     []uint64  `json:"failed"`   // or rejected
	Crashed    []uint64  `json:"crashed"`  // workers
	Median     []float32 `json:"median_seconds"`
	P95        []float32 `json:"p95_seconds"`
	Memory     []int64   `json:"memory_bytes"`
	Busy       []int32   `json:"busy"` // at the end of the interval, as the following
	Max        []int32   `json:"max"`
	Queue      []int32   `json:"queue"`
	Generation []int32   `json:"generation"`
}

// describeHistory returns the history of a pool after a time.
func describeHistory(p *live.Pool, since time.Time) historyJSON {
	h := historyJSON{
		Interval: live.HistoryInterval.Seconds(), Time: []int64{}, Requests: []uint64{}, Failed: []uint64{}, Crashed: []uint64{},
		Median: []float32{}, P95: []float32{}, Memory: []int64{}, Busy: []int32{}, Max: []int32{}, Queue: []int32{}, Generation: []int32{},
	}
	for _, point := range p.History.Since(since) {
		h.Time = append(h.Time, point.Time.Unix())
		h.Requests, h.Failed, h.Crashed = append(h.Requests, point.Requests), append(h.Failed, point.Failed), append(h.Crashed, point.Crashed)
		h.Median, h.P95, h.Memory = append(h.Median, point.Median), append(h.P95, point.P95), append(h.Memory, point.Memory)
		h.Busy, h.Max, h.Queue = append(h.Busy, point.Busy), append(h.Max, point.Max), append(h.Queue, point.Queue)
		h.Generation = append(h.Generation, point.Generation)
	}
	return h
}

// showHistory responds with the last hour of a pool, or with what is after ?since, a time in
// seconds since 1970.
func showHistory(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	since, err := parseSince(r)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	return writeJSON(w, describeHistory(p, since))
}

func parseSince(r *http.Request) (time.Time, error) {
	text := r.URL.Query().Get("since")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("since=%s: write a time in seconds since 1970", text)
	}
	return time.Unix(seconds+1, -1), nil // a point is not repeated: its time is cut to seconds
}
