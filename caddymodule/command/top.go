package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	// defaultInterval is how long top waits after a response. Caddy reads CPU time
	// and memory at most once a second, so a shorter interval would show the same
	// values again.
	defaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
)

// sortKey is the column by which rows are sorted, in descending order.
type sortKey string

const (
	bySeconds  sortKey = "seconds"
	byCPU      sortKey = "cpu"
	byMemory   sortKey = "memory"
	byRequests sortKey = "requests"
)

var sortKeys = []sortKey{bySeconds, byCPU, byMemory, byRequests}

// runTop shows the workers on a terminal, or prints one table.
func runTop(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	order, _ := flags.GetString("sort")
	interval, _ := flags.GetDuration("interval")
	once, _ := flags.GetBool("once")
	if !slices.Contains(sortKeys, sortKey(order)) {
		return fmt.Errorf("--sort %s is not a column: write seconds, cpu, memory or requests", order)
	}
	if interval < minInterval {
		return fmt.Errorf("--interval %v is too short: write %v or more", interval, minInterval)
	}
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	m := newTopModel(machines)
	m.order, m.interval = sortKey(order), interval
	if len(args) > 0 {
		m.pool = args[0]
	}
	if failed, err := m.updateAll(ctx, machines); failed == len(machines) {
		return err
	}
	if once || !isTerminal(cmd.OutOrStdout()) {
		return plainTop(ctx, cmd.OutOrStdout(), machines, m)
	}
	return liveTop(ctx, machines, m)
}

// updateAll takes a snapshot of each machine. It returns how many failed.
func (m *topModel) updateAll(ctx context.Context, machines machines) (failed int, err error) {
	snapshots := make([]snapshot, len(machines))
	err = machines.each(func(i int, _ *client) error {
		snapshots[i] = machines.snapshot(ctx, i, m.pool)
		return snapshots[i].err
	})
	for _, s := range snapshots {
		m.update(s)
		if s.err != nil {
			failed++
		}
	}
	return failed, err
}

// isTerminal reports whether w is a terminal that can be drawn on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// plainTop prints one table, after a second snapshot: the CPU percentage needs two.
func plainTop(ctx context.Context, w io.Writer, machines machines, m *topModel) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(m.interval):
	}
	failed, err := m.updateAll(ctx, machines)
	if failed > 0 && len(machines) == 1 {
		return err
	}
	lines, _ := m.table()
	if _, err = fmt.Fprintln(w, m.summary()+"\n\n"+strings.Join(lines, "\n")); err == nil && failed > 0 {
		return errReported // in the row of the machine
	}
	return err
}

// snapshot is the state of all pools of a machine, or of one, at one time.
type snapshot struct {
	machine int
	time    time.Time
	pools   []poolInfo
	err     error
}

// snapshot takes a snapshot of a pool of a machine; an empty name means all pools.
func (m machines) snapshot(ctx context.Context, machine int, pool string) snapshot {
	var names []string
	if pool != "" {
		names = []string{pool}
	}
	list, err := m[machine].poolsWithWorkers(ctx, names)
	return snapshot{machine, time.Now(), list, err}
}

// workerKey identifies a worker in successive snapshots. The PID is part of it
// because a draining worker may get another process.
type workerKey struct {
	pool string
	id   uint64
	pid  int
}

// history has the CPU times of the last snapshots. A percentage over several of
// them varies less, and Caddy's values may be a second old.
type history struct {
	times []time.Time
	cpu   []map[workerKey]float64
}

// historySize is the number of snapshots that history keeps.
const historySize = 4

func (h *history) add(s snapshot) {
	used := map[workerKey]float64{}
	for i := range s.pools {
		for _, w := range s.pools[i].WorkersList {
			used[workerKey{s.pools[i].Name, w.ID, w.PID}] = w.CPU
		}
	}
	h.times, h.cpu = append(h.times, s.time), append(h.cpu, used)
	if drop := len(h.times) - historySize; drop > 0 {
		h.times, h.cpu = h.times[drop:], h.cpu[drop:]
	}
}

// cpuPercent returns the share of one CPU that a worker has used recently, in
// percent. It is unknown before the second snapshot of the worker.
func (h *history) cpuPercent(key workerKey) (percent float64, known bool) {
	last := len(h.times) - 1
	for i := range last {
		first, ok := h.cpu[i][key]
		if elapsed := h.times[last].Sub(h.times[i]).Seconds(); ok && elapsed > 0 {
			return max(0, 100*(h.cpu[last][key]-first)/elapsed), true
		}
	}
	return 0, false
}

// row is a worker in a table.
type row struct {
	host, pool string
	workerInfo
	percent    float64
	hasPercent bool // percent is known
}

// duration returns for how many seconds the request has been running; negative
// without a request.
func (r *row) duration() float64 {
	if r.Request == nil {
		return -1
	}
	return r.Request.Duration
}

func (r *row) memory() int64 {
	if r.Memory == nil {
		return 0
	}
	return *r.Memory
}

// rowsOf returns the workers of pools of a machine. Without a history the rows have no percent.
func rowsOf(host string, pools []poolInfo, h *history) []row {
	var rows []row
	for i := range pools {
		for _, w := range pools[i].WorkersList {
			r := row{host: host, pool: pools[i].Name, workerInfo: w}
			if h != nil {
				r.percent, r.hasPercent = h.cpuPercent(workerKey{r.pool, w.ID, w.PID})
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// sortRows sorts in descending order, and rows with equal keys in a fixed order.
func sortRows(rows []row, order sortKey) {
	slices.SortStableFunc(rows, func(a, b row) int {
		primary := 0
		switch order {
		case bySeconds:
		case byCPU:
			primary = cmp.Compare(b.percent, a.percent)
		case byMemory:
			primary = cmp.Compare(b.memory(), a.memory())
		case byRequests:
			primary = cmp.Compare(b.Requests, a.Requests)
		}
		return cmp.Or(primary, cmp.Compare(b.duration(), a.duration()), strings.Compare(a.host, b.host),
			strings.Compare(a.pool, b.pool), cmp.Compare(a.ID, b.ID))
	})
}

// workerTable returns a table of workers, optionally with their machine and CPU percentage.
func workerTable(rows []row, withHost, withPercent bool) *table {
	t := &table{}
	if withHost {
		t.head = []column{left("HOST")}
	}
	t.head = append(t.head, left("POOL"), right("ID"), right("PID"), left("STATE"), right("SECONDS"))
	if withPercent {
		t.head = append(t.head, right("CPU%"))
	}
	t.head = append(t.head, right("CPU TIME"), right("MEMORY"), right("SERVED"), left("REQUEST"))
	for i := range rows {
		r := &rows[i]
		seconds, request := "-", ""
		if r.Request != nil {
			seconds, request = secondsText(r.Request.Duration), r.Request.Method+" "+r.Request.URI
		}
		cells := []string{r.pool, strconv.FormatUint(r.ID, 10), strconv.Itoa(r.PID), r.State, seconds}
		if withHost {
			cells = slices.Insert(cells, 0, r.host)
		}
		if withPercent {
			percent := "-"
			if r.hasPercent {
				percent = strconv.FormatFloat(r.percent, 'f', 0, 64)
			}
			cells = append(cells, percent)
		}
		t.add(append(cells, secondsText(r.CPU), memoryText(r.memory(), r.Memory != nil), strconv.Itoa(r.Requests), request)...)
	}
	return t
}
