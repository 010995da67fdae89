package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// view is what top shows, and what its keys change; it knows no terminal.
type view struct {
	order    sortKey
	pool     string // that alone; empty: all
	interval time.Duration

	last    look
	before  look // the one before it
	err     error
	history history
	names   []string // of all pools there were when all were shown
	offset  int      // rows above the first that is shown
	page    int      // rows that there was room for
}

// arrived takes in a new look. One that failed leaves the last on the screen.
func (v *view) arrived(l look) {
	v.err = l.err
	if l.err != nil {
		return
	}
	v.before, v.last = v.last, l
	v.history.add(l)
	if v.pool == "" {
		v.names = namesOf(l.pools)
	}
}

// key is what a key does; whether it means to quit, and whether other pools are
// to be asked for than before.
func (v *view) key(name string) (quit, ask bool) {
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
func (v *view) nextPool() {
	v.offset = 0
	i := slices.Index(v.names, v.pool) + 1 // 0 for all
	if i == len(v.names) {
		v.pool = ""
		return
	}
	v.pool = v.names[i]
}

func (v *view) scroll(by int) { v.offset = max(0, v.offset+by) }

// shown are the pools that are shown: what was asked for before the p key may
// have more.
func (v *view) shown() []poolAnswer {
	if v.pool == "" {
		return v.last.pools
	}
	return slices.DeleteFunc(slices.Clone(v.last.pools), func(p poolAnswer) bool { return p.Name != v.pool })
}

// rows are the workers that are shown, sorted.
func (v *view) rows() []row {
	rows := rowsOf(v.shown(), &v.history)
	sortRows(rows, v.order)
	return rows
}

// summary is one line about all pools that are shown.
func (v *view) summary() string {
	var busy, idle, most, waiting int
	var memory int64
	known := false
	pools := v.shown()
	for i := range pools {
		p := &pools[i]
		busy += p.Workers.Busy + p.Workers.Draining
		idle += p.Workers.Idle
		most += p.Workers.Max
		waiting += p.Queue.Length
		n, ok := p.memory()
		memory += n
		known = known || ok
	}
	text := fmt.Sprintf("%s: %d busy, %d idle, at most %d; queue %d; memory %s", count(len(pools), "pool"), busy, idle, most,
		waiting, memoryText(memory, known))
	if rate, ok := v.rate(); ok {
		text += fmt.Sprintf("; %.0f requests/s", rate)
	}
	return text
}

// rate is how many requests a second began between the last two looks.
func (v *view) rate() (perSecond float64, known bool) {
	passed := v.last.at.Sub(v.before.at).Seconds()
	if v.before.at.IsZero() || passed <= 0 {
		return 0, false
	}
	then := map[string]uint64{}
	for i := range v.before.pools {
		then[v.before.pools[i].Name] = v.before.pools[i].Requests.Total
	}
	var n uint64
	pools := v.shown()
	for i := range pools {
		if was, ok := then[pools[i].Name]; ok && was <= pools[i].Requests.Total {
			n += pools[i].Requests.Total - was
		}
	}
	return float64(n) / passed, true
}

// tone is the look of a line.
type tone int

const (
	plain tone = iota
	title      // the head of the table
	faint      // what does nothing
	alarm      // what needs attention
)

// line is one line of the screen.
type line struct {
	text string
	tone tone
}

// lines are what is on a screen of that height.
func (v *view) lines(height int) []line {
	scope := "all pools"
	if v.pool != "" {
		scope = "pool " + doctor.Printable(v.pool)
	}
	top := []line{
		{fmt.Sprintf("%s   %s, by %s, every %v", v.last.at.Format(time.TimeOnly), scope, v.order, v.interval), faint},
		{v.summary(), plain},
	}
	if v.err != nil {
		top[1] = line{doctor.Printable(v.err.Error()), alarm}
	}
	keys := line{"sort by s seconds, c CPU, m memory, r requests   p pool   q quit", faint}
	rows := v.rows()
	text := workerTable(rows, true).lines()
	const around = 3 // an empty line, the table's head, the keys
	v.page = max(1, height-len(top)-around)
	v.offset = min(v.offset, max(0, len(rows)-v.page))
	out := slices.Concat(top, []line{{}, {text[0], title}})
	for i := v.offset; i < min(len(rows), v.offset+v.page); i++ {
		out = append(out, line{text[i+1], toneOf(&rows[i])})
	}
	for len(out) < height-1 {
		out = append(out, line{})
	}
	return append(out[:max(0, min(len(out), height-1))], keys)
}

// toneOf marks a worker by what it does.
func toneOf(r *row) tone {
	switch {
	case r.since() >= hangs:
		return alarm
	case r.Request == nil:
		return faint
	}
	return plain
}
