package threads

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of /proc/stat, on all Linux systems.
const userHZ = 100

// latencyShare is gTrackingPeriod of package runtime.
const latencyShare = 8

// meter measures what a controller needs.
type meter struct {
	at      time.Time
	served  int64
	used    time.Duration // CPU time of Caddy
	idle    int64         // CPU time that nobody used, in 1/userHZ seconds
	waited  float64       // seconds that goroutines have waited to run
	latency []metrics.Sample
	stat    *os.File
	buf     [1 << 10]byte
}

// newMeter returns false if the system does not say what it needs.
func newMeter() (*meter, bool) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return nil, false
	}
	m := &meter{stat: f, latency: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
	_, ok := m.sample()
	return m, ok
}

// sample measures the time since the last call.
func (m *meter) sample() (sample, bool) {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) != nil {
		return sample{}, false
	}
	idle, ok := m.idleTime()
	if !ok {
		return sample{}, false
	}
	now, used, waited := time.Now(), time.Duration(use.Utime.Nano()+use.Stime.Nano()), m.waitTime()
	requests := served.Load()
	elapsed := now.Sub(m.at).Seconds()
	s := sample{
		seconds:  elapsed,
		requests: float64(requests - m.served),
		used:     (used - m.used).Seconds(),
		idle:     float64(idle-m.idle) / userHZ,
		waited:   waited - m.waited,
	}
	m.at, m.served, m.used, m.idle, m.waited = now, requests, used, idle, waited
	return s, true
}

// idleTime reads the time that all CPUs were idle, those that waited for a disk
// included.
func (m *meter) idleTime() (int64, bool) {
	n, _ := m.stat.ReadAt(m.buf[:], 0)
	line, _, _ := bytes.Cut(m.buf[:n], []byte("\n"))
	fields := bytes.Fields(line) // cpu user nice system idle iowait ...
	if len(fields) < 6 {
		return 0, false
	}
	idle, err := strconv.ParseInt(string(fields[4]), 10, 64)
	if err != nil {
		return 0, false
	}
	waiting, err := strconv.ParseInt(string(fields[5]), 10, 64)
	return idle + waiting, err == nil
}

// waitTime returns how long goroutines have waited to run, all together, in seconds.
// Go counts one in latencyShare of them, in buckets; the beginning of each counts here.
func (m *meter) waitTime() (sum float64) {
	metrics.Read(m.latency)
	if m.latency[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := m.latency[0].Value.Float64Histogram()
	for i, n := range h.Counts {
		if from := h.Buckets[i]; n > 0 && from > 0 {
			sum += float64(n) * from
		}
	}
	return sum * latencyShare
}

func (m *meter) close() { m.stat.Close() }
