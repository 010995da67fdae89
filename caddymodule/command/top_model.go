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
	hosts    []hostModel
	offset   int // rows above the first visible one
	page     int // visible rows, when rendered last
}

// hostModel holds the snapshots of one machine.
type hostModel struct {
	host     string
	latest   snapshot
	previous snapshot // before latest
	err      error    // of the last snapshot
	history  history
	names    []string // of all pools, since the last snapshot of all
}

// newTopModel returns the model of top for these machines.
func newTopModel(machines machines) *topModel {
	m := &topModel{order: bySeconds, interval: defaultInterval}
	for _, c := range machines {
		m.hosts = append(m.hosts, hostModel{host: c.address})
	}
	return m
}

// several reports whether there are several machines.
func (m *topModel) several() bool { return len(m.hosts) > 1 }

// update adds a new snapshot. After a failed one of the only machine the last one stays
// visible; one of several has its error instead.
func (m *topModel) update(s snapshot) {
	h := &m.hosts[s.machine]
	h.err = s.err
	if s.err != nil {
		return
	}
	h.previous, h.latest = h.latest, s
	h.history.add(s)
	if m.pool == "" {
		h.names = namesOf(s.pools)
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
	var names []string
	for i := range m.hosts {
		for _, name := range m.hosts[i].names {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	i := slices.Index(names, m.pool) + 1 // 0 for all
	if i == len(names) {
		m.pool = ""
		return
	}
	m.pool = names[i]
}

func (m *topModel) scroll(delta int) { m.offset = max(0, m.offset+delta) }

// visiblePools returns the selected pools of a machine. A snapshot from before the p key was
// pressed may have more.
func (m *topModel) visiblePools(h *hostModel) []poolInfo {
	switch {
	case m.several() && h.err != nil:
		return nil
	case m.pool == "":
		return h.latest.pools
	}
	return slices.DeleteFunc(slices.Clone(h.latest.pools), func(p poolInfo) bool { return p.Name != m.pool })
}

// rows returns the workers of the visible pools, sorted.
func (m *topModel) rows() []row {
	var rows []row
	for i := range m.hosts {
		h := &m.hosts[i]
		rows = append(rows, rowsOf(h.host, m.visiblePools(h), &h.history)...)
	}
	sortRows(rows, m.order)
	return rows
}

// table returns the head and the rows of the table, and the style of each line: first the
// machines with an error, if there are several, then the workers.
func (m *topModel) table() ([]string, []style) {
	rows := m.rows()
	t := workerTable(rows, m.several(), true)
	styles := []style{header}
	for i := range m.hosts {
		if h := &m.hosts[i]; m.several() && h.err != nil {
			t.insert(len(styles)-1, h.host, hostError(h.err))
			styles = append(styles, alert)
		}
	}
	for i := range rows {
		styles = append(styles, rowStyle(&rows[i]))
	}
	return t.lines(), styles
}

// summary returns one line about the visible pools.
func (m *topModel) summary() string {
	var total poolInfo
	var rate float64
	pools, responding, hasRate := 0, 0, false
	for i := range m.hosts {
		h := &m.hosts[i]
		if h.err == nil {
			responding++
		}
		list := m.visiblePools(h)
		pools += len(list)
		for j := range list {
			total.plus(&list[j])
		}
		if n, ok := h.rate(list); ok {
			rate += n
			hasRate = true
		}
	}
	text := fmt.Sprintf("%s: %d busy, %d idle, at most %d; queue %d; memory %s", human.Plural(pools, "pool"), total.Workers.Busy,
		total.Workers.Idle, total.Workers.Max, total.Queue.Length, memoryText(total.memory()))
	if hasRate {
		text += fmt.Sprintf("; %.0f requests/s", rate)
	}
	if m.several() {
		return fmt.Sprintf("%d of %d machines, %s", responding, len(m.hosts), text)
	}
	return text
}

// rate returns the requests per second of these pools between the last two snapshots.
func (h *hostModel) rate(pools []poolInfo) (perSecond float64, known bool) {
	elapsed := h.latest.time.Sub(h.previous.time).Seconds()
	if h.previous.time.IsZero() || elapsed <= 0 {
		return 0, false
	}
	before := map[string]uint64{}
	for i := range h.previous.pools {
		before[h.previous.pools[i].Name] = h.previous.pools[i].Requests.Total
	}
	var n uint64
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
	var latest time.Time
	for i := range m.hosts {
		if at := m.hosts[i].latest.time; at.After(latest) {
			latest = at
		}
	}
	top := []screenLine{
		{fmt.Sprintf("%s   %s, by %s, every %v", latest.Format(time.TimeOnly), scope, m.order, m.interval), dim},
		{m.summary(), plain},
	}
	if err := m.hosts[0].err; err != nil && !m.several() {
		top[1] = screenLine{doctor.Printable(err.Error()), alert}
	}
	keys := screenLine{"sort by s seconds, c CPU, m memory, r requests   p pool   q quit", dim}
	text, styles := m.table()
	rows := len(text) - 1
	const around = 3 // an empty line, the table's head, the keys
	m.page = max(1, height-len(top)-around)
	m.offset = min(m.offset, max(0, rows-m.page))
	out := slices.Concat(top, []screenLine{{}, {text[0], styles[0]}})
	for i := m.offset; i < min(rows, m.offset+m.page); i++ {
		out = append(out, screenLine{text[i+1], styles[i+1]})
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
