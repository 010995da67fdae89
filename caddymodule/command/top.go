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
	// defaultInterval is how long top waits after an answer. Caddy reads what
	// workers use once a second at most, so that asking sooner than that would
	// show the same again.
	defaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
)

// sortKey is what the rows are sorted by, the largest first.
type sortKey string

const (
	bySeconds  sortKey = "seconds"
	byCPU      sortKey = "cpu"
	byMemory   sortKey = "memory"
	byRequests sortKey = "requests"
)

var sortKeys = []sortKey{bySeconds, byCPU, byMemory, byRequests}

func runTop(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	order, _ := flags.GetString("sort")
	interval, _ := flags.GetDuration("interval")
	once, _ := flags.GetBool("once")
	if !slices.Contains(sortKeys, sortKey(order)) {
		return fmt.Errorf("--sort %s is unknown: write seconds, cpu, memory or requests", order)
	}
	if interval < minInterval {
		return fmt.Errorf("--interval %v is too short: write %v or more", interval, minInterval)
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	v := &topModel{order: sortKey(order), interval: interval}
	if len(args) > 0 {
		v.pool = args[0]
	}
	first := c.snapshot(ctx, v.pool)
	if first.err != nil {
		return first.err
	}
	v.update(first)
	if once || !isTerminal(cmd.OutOrStdout()) {
		return plainTop(ctx, cmd.OutOrStdout(), c, v)
	}
	return liveTop(ctx, c, v)
}

// isTerminal reports whether a screen can be drawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// plainTop prints one table, after a second look: processor time is a matter of
// two.
func plainTop(ctx context.Context, w io.Writer, c *client, v *topModel) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(v.interval):
	}
	next := c.snapshot(ctx, v.pool)
	if next.err != nil {
		return next.err
	}
	v.update(next)
	_, err := fmt.Fprintln(w, v.summary()+"\n\n"+strings.Join(workerTable(v.rows(), true).lines(), "\n"))
	return err
}

// snapshot is one moment of all pools, or of one.
type snapshot struct {
	time  time.Time
	pools []poolInfo
	err   error
}

func (c *client) snapshot(ctx context.Context, pool string) snapshot {
	var names []string
	if pool != "" {
		names = []string{pool}
	}
	list, err := c.poolsWithWorkers(ctx, names)
	return snapshot{time.Now(), list, err}
}

// workerKey names a worker over time; what drains may change its process.
type workerKey struct {
	pool string
	id   uint64
	pid  int
}

// history has the last looks' processor times. A share over a few of them is
// steadier than one over the last alone, and what Caddy shows may be a second
// old.
type history struct {
	times []time.Time
	cpu   []map[workerKey]float64
}

// historySize is how many looks a share is taken over.
const historySize = 4

func (h *history) add(l snapshot) {
	used := map[workerKey]float64{}
	for i := range l.pools {
		for _, w := range l.pools[i].WorkersList {
			used[workerKey{l.pools[i].Name, w.ID, w.PID}] = w.CPU
		}
	}
	h.times, h.cpu = append(h.times, l.time), append(h.cpu, used)
	if drop := len(h.times) - historySize; drop > 0 {
		h.times, h.cpu = h.times[drop:], h.cpu[drop:]
	}
}

// cpuPercent is how much of a processor a worker has used lately, in percent; false
// before the second look at it.
func (h *history) cpuPercent(key workerKey) (percent float64, known bool) {
	last := len(h.times) - 1
	for i := range last {
		then, ok := h.cpu[i][key]
		if passed := h.times[last].Sub(h.times[i]).Seconds(); ok && passed > 0 {
			return max(0, 100*(h.cpu[last][key]-then)/passed), true
		}
	}
	return 0, false
}

// row is one worker.
type row struct {
	pool string
	workerInfo
	percent    float64
	hasPercent bool // percent is
}

// duration is how many seconds its request has run; negative if there is none.
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

// rowsOf lists the workers of pools; h may be nil.
func rowsOf(pools []poolInfo, h *history) []row {
	var rows []row
	for i := range pools {
		for _, w := range pools[i].WorkersList {
			r := row{pool: pools[i].Name, workerInfo: w}
			if h != nil {
				r.percent, r.hasPercent = h.cpuPercent(workerKey{r.pool, w.ID, w.PID})
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// sortRows puts the largest first, and leaves no two in an order that changes
// from look to look.
func sortRows(rows []row, order sortKey) {
	slices.SortStableFunc(rows, func(a, b row) int {
		by := 0
		switch order {
		case bySeconds:
		case byCPU:
			by = cmp.Compare(b.percent, a.percent)
		case byMemory:
			by = cmp.Compare(b.memory(), a.memory())
		case byRequests:
			by = cmp.Compare(b.Requests, a.Requests)
		}
		return cmp.Or(by, cmp.Compare(b.duration(), a.duration()), strings.Compare(a.pool, b.pool), cmp.Compare(a.ID, b.ID))
	})
}

// workerTable is a table of workers, with their share of a processor or not.
func workerTable(rows []row, share bool) *table {
	t := &table{head: []column{left("POOL"), right("ID"), right("PID"), left("STATE"), right("SECONDS")}}
	if share {
		t.head = append(t.head, right("CPU%"))
	}
	t.head = append(t.head, right("CPU TIME"), right("MEMORY"), right("SERVED"), left("REQUEST"))
	for i := range rows {
		r := &rows[i]
		seconds, what := "-", ""
		if r.Request != nil {
			seconds, what = secondsText(r.Request.Duration), r.Request.Method+" "+r.Request.URI
		}
		cells := []string{r.pool, strconv.FormatUint(r.ID, 10), strconv.Itoa(r.PID), r.State, seconds}
		if share {
			percent := "-"
			if r.hasPercent {
				percent = strconv.FormatFloat(r.percent, 'f', 0, 64)
			}
			cells = append(cells, percent)
		}
		t.add(append(cells, secondsText(r.CPU), memoryText(r.memory(), r.Memory != nil), strconv.Itoa(r.Requests), what)...)
	}
	return t
}
