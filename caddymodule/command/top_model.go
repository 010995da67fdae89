package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// topModel is what top shows, and what its keys change; it knows no terminal.
type topModel struct {
	order    sortKey
	pool     string // that alone; empty: all
	interval time.Duration

	latest   snapshot
	previous snapshot // the one before it
	err      error
	history  history
	names    []string // of all pools there were when all were shown
	offset   int      // rows above the first that is shown
	page     int      // rows that there was room for
}

// update takes in a new look. One that failed leaves the last on the screen.
func (v *topModel) update(l snapshot) {
	v.err = l.err
	if l.err != nil {
		return
	}
	v.previous, v.latest = v.latest, l
	v.history.add(l)
	if v.pool == "" {
		v.names = namesOf(l.pools)
	}
}

// handleKey is what a key does; whether it means to quit, and whether other pools are
// to be asked for than before.
func (v *topModel) handleKey(name string) (quit, refresh bool) {
	switch name {
	case "q", "Q", "Esc", "Ctrl-C":
		return true, false
	case "s":
		v.order = bySeconds
	case "c":
		v.order = byCPU
	case "m":
		v.order = byMemory
	case "r":
		v.order = byRequests
	case "p":
		v.nextPool()
		return false, true
	case "Up":
		v.scroll(-1)
	case "Down":
		v.scroll(1)
	case "PgUp":
		v.scroll(-v.page)
	case "PgDn":
		v.scroll(v.page)
	case "Home":
		v.offset = 0
	}
	return false, false
}

// nextPool shows the pool after this one alone, and after the last one all.
func (v *topModel) nextPool() {
	v.offset = 0
	i := slices.Index(v.names, v.pool) + 1 // 0 for all
	if i == len(v.names) {
		v.pool = ""
		return
	}
	v.pool = v.names[i]
}

func (v *topModel) scroll(delta int) { v.offset = max(0, v.offset+delta) }

// visiblePools are the pools that are shown: what was asked for before the p key may
// have more.
func (v *topModel) visiblePools() []poolInfo {
	if v.pool == "" {
		return v.latest.pools
	}
	return slices.DeleteFunc(slices.Clone(v.latest.pools), func(p poolInfo) bool { return p.Name != v.pool })
}

// rows are the workers that are shown, sorted.
func (v *topModel) rows() []row {
	rows := rowsOf(v.visiblePools(), &v.history)
	sortRows(rows, v.order)
	return rows
}

// summary is one line about all pools that are shown.
func (v *topModel) summary() string {
	var busy, idle, maxWorkers, waiting int
	var memory int64
	known := false
	pools := v.visiblePools()
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
	text := fmt.Sprintf("%s: %d busy, %d idle, at most %d; queue %d; memory %s", count(len(pools), "pool"), busy, idle, maxWorkers,
		waiting, memoryText(memory, known))
	if rate, ok := v.rate(); ok {
		text += fmt.Sprintf("; %.0f requests/s", rate)
	}
	return text
}

// rate is how many requests a second began between the last two looks.
func (v *topModel) rate() (perSecond float64, known bool) {
	passed := v.latest.time.Sub(v.previous.time).Seconds()
	if v.previous.time.IsZero() || passed <= 0 {
		return 0, false
	}
	then := map[string]uint64{}
	for i := range v.previous.pools {
		then[v.previous.pools[i].Name] = v.previous.pools[i].Requests.Total
	}
	var n uint64
	pools := v.visiblePools()
	for i := range pools {
		if was, ok := then[pools[i].Name]; ok && was <= pools[i].Requests.Total {
			n += pools[i].Requests.Total - was
		}
	}
	return float64(n) / passed, true
}

// style is the look of a line.
type style int

const (
	plain  style = iota
	header       // the head of the table
	dim          // what does nothing
	alert        // what needs attention
)

// screenLine is one line of the screen.
type screenLine struct {
	text  string
	style style
}

// render are what is on a screen of that height.
func (v *topModel) render(height int) []screenLine {
	scope := "all pools"
	if v.pool != "" {
		scope = "pool " + doctor.Printable(v.pool)
	}
	top := []screenLine{
		{fmt.Sprintf("%s   %s, by %s, every %v", v.latest.time.Format(time.TimeOnly), scope, v.order, v.interval), dim},
		{v.summary(), plain},
	}
	if v.err != nil {
		top[1] = screenLine{doctor.Printable(v.err.Error()), alert}
	}
	keys := screenLine{"sort by s seconds, c CPU, m memory, r requests   p pool   q quit", dim}
	rows := v.rows()
	text := workerTable(rows, true).lines()
	const around = 3 // an empty line, the table's head, the keys
	v.page = max(1, height-len(top)-around)
	v.offset = min(v.offset, max(0, len(rows)-v.page))
	out := slices.Concat(top, []screenLine{{}, {text[0], header}})
	for i := v.offset; i < min(len(rows), v.offset+v.page); i++ {
		out = append(out, screenLine{text[i+1], rowStyle(&rows[i])})
	}
	for len(out) < height-1 {
		out = append(out, screenLine{})
	}
	return append(out[:max(0, min(len(out), height-1))], keys)
}

// rowStyle marks a worker by what it does.
func rowStyle(r *row) style {
	switch {
	case r.duration() >= longRunningAfter:
		return alert
	case r.Request == nil:
		return dim
	}
	return plain
}
