package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// topModel is the state of top, independent of the terminal.
type topModel struct {
	order    sortKey
	pool     string // the only visible one; empty: all
	interval time.Duration

	latest   snapshot
	previous snapshot // before latest
	err      error
	history  history
	names    []string // of all pools, since the last snapshot of all
	offset   int      // rows above the first visible one
	page     int      // visible rows, when rendered last
}

// update adds a new snapshot. After a failed one the last one stays visible.
func (m *topModel) update(s snapshot) {
	m.err = s.err
	if s.err != nil {
		return
	}
	m.previous, m.latest = m.latest, s
	m.history.add(s)
	if m.pool == "" {
		m.names = namesOf(s.pools)
	}
}

// handleKey handles a key. It reports whether to quit, and whether to take a new
// snapshot because the selected pools have changed.
func (m *topModel) handleKey(name string) (quit, refresh bool) {
	switch name {
	case "q", "Q", "Esc", "Ctrl-C":
		return true, false
	case "s":
		m.order = bySeconds
	case "c":
		m.order = byCPU
	case "m":
		m.order = byMemory
	case "r":
		m.order = byRequests
	case "p":
		m.nextPool()
		return false, true
	case "Up":
		m.scroll(-1)
	case "Down":
		m.scroll(1)
	case "PgUp":
		m.scroll(-m.page)
	case "PgDn":
		m.scroll(m.page)
	case "Home":
		m.offset = 0
	}
	return false, false
}

// nextPool selects the next pool alone, and after the last one all pools.
func (m *topModel) nextPool() {
	m.offset = 0
	i := slices.Index(m.names, m.pool) + 1 // 0 for all
	if i == len(m.names) {
		m.pool = ""
		return
	}
	m.pool = m.names[i]
}

func (m *topModel) scroll(delta int) { m.offset = max(0, m.offset+delta) }

// visiblePools returns the selected pools. A snapshot from before the p key was
// pressed may have more.
func (m *topModel) visiblePools() []poolInfo {
	if m.pool == "" {
		return m.latest.pools
	}
	return slices.DeleteFunc(slices.Clone(m.latest.pools), func(p poolInfo) bool { return p.Name != m.pool })
}

// rows returns the workers of the visible pools, sorted.
func (m *topModel) rows() []row {
	rows := rowsOf(m.visiblePools(), &m.history)
	sortRows(rows, m.order)
	return rows
}

// summary returns one line about the visible pools.
func (m *topModel) summary() string {
	var busy, idle, maxWorkers, waiting int
	var memory int64
	known := false
	pools := m.visiblePools()
	for i := range pools {
		p := &pools[i]
		busy += p.Workers.Busy + p.Workers.Draining
		idle += p.Workers.Idle
		maxWorkers += p.Workers.Max
		waiting += p.Queue.Length
		n, ok := p.memory()
		memory += n
		known = known || ok
	}
	text := fmt.Sprintf("%s: %d busy, %d idle, at most %d; queue %d; memory %s", human.Plural(len(pools), "pool"), busy, idle, maxWorkers,
		waiting, memoryText(memory, known))
	if rate, ok := m.rate(); ok {
		text += fmt.Sprintf("; %.0f requests/s", rate)
	}
	return text
}

// rate returns the requests per second between the last two snapshots.
func (m *topModel) rate() (perSecond float64, known bool) {
	elapsed := m.latest.time.Sub(m.previous.time).Seconds()
	if m.previous.time.IsZero() || elapsed <= 0 {
		return 0, false
	}
	before := map[string]uint64{}
	for i := range m.previous.pools {
		before[m.previous.pools[i].Name] = m.previous.pools[i].Requests.Total
	}
	var n uint64
	pools := m.visiblePools()
	for i := range pools {
		if total, ok := before[pools[i].Name]; ok && total <= pools[i].Requests.Total {
			n += pools[i].Requests.Total - total
		}
	}
	return float64(n) / elapsed, true
}

// style is how a line of the screen is displayed.
type style int

const (
	plain  style = iota
	header       // head of the table
	dim          // idle workers
	alert        // long requests and errors
)

// screenLine is one line of the screen.
type screenLine struct {
	text  string
	style style
}

// render returns the lines of a screen of that height.
func (m *topModel) render(height int) []screenLine {
	scope := "all pools"
	if m.pool != "" {
		scope = "pool " + doctor.Printable(m.pool)
	}
	top := []screenLine{
		{fmt.Sprintf("%s   %s, by %s, every %v", m.latest.time.Format(time.TimeOnly), scope, m.order, m.interval), dim},
		{m.summary(), plain},
	}
	if m.err != nil {
		top[1] = screenLine{doctor.Printable(m.err.Error()), alert}
	}
	keys := screenLine{"sort by s seconds, c CPU, m memory, r requests   p pool   q quit", dim}
	rows := m.rows()
	text := workerTable(rows, true).lines()
	const around = 3 // an empty line, the table's head, the keys
	m.page = max(1, height-len(top)-around)
	m.offset = min(m.offset, max(0, len(rows)-m.page))
	out := slices.Concat(top, []screenLine{{}, {text[0], header}})
	for i := m.offset; i < min(len(rows), m.offset+m.page); i++ {
		out = append(out, screenLine{text[i+1], rowStyle(&rows[i])})
	}
	for len(out) < height-1 {
		out = append(out, screenLine{})
	}
	return append(out[:max(0, min(len(out), height-1))], keys)
}

// rowStyle returns the style of a worker by the state of its request.
func rowStyle(r *row) style {
	switch {
	case r.duration() >= longRunningAfter:
		return alert
	case r.Request == nil:
		return dim
	}
	return plain
}
