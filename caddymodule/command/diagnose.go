package command

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

const (
	// longRunningAfter is how many seconds a request runs before it is shown as one that
	// may hang.
	longRunningAfter = 30
	// waitShare is the share of requests, one in so many, from which on waiting for
	// a worker is worth a word.
	waitShare = 100
)

// diagnose says what is wrong with a pool: first what is so now, then what
// happened since it began.
func diagnose(p *poolInfo) []doctor.Finding {
	var list []doctor.Finding
	add := func(level doctor.Level, remedy, format string, args ...any) {
		list = append(list, doctor.Finding{Level: level, Summary: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if p.LastFailure != "" {
		add(doctor.Problem, "run `caddy php-pool doctor`", "no worker can be started: %s", p.LastFailure)
	}
	switch {
	case p.Queue.Length > 0 && p.Queue.Length >= p.Queue.Max:
		add(doctor.Problem, poolTooSmall, "the line is full: %s, and one more is answered 503", wait(p.Queue.Length))
	case p.Queue.Length > 0:
		add(doctor.Note, poolTooSmall, "%s for a worker; %d of %d are busy", wait(p.Queue.Length),
			p.Workers.Busy+p.Workers.Draining, p.Workers.Max)
	}
	for i := range p.WorkersList {
		w := &p.WorkersList[i]
		if r := w.Request; r != nil && r.Duration >= longRunningAfter {
			add(doctor.Note, fmt.Sprintf("`caddy php-pool backtrace %s` shows where it is, `caddy php-pool recycle --force %s %d` ends it; "+
				"request_timeout would have", p.Name, p.Name, w.ID),
				"worker %d runs %s %s for %s s (%s)", w.ID, r.Method, r.URI, secondsText(r.Duration), r.Script)
		}
	}
	if p.opcache != nil && p.opcache.Full {
		text, remedy := p.opcache.fullReason()
		add(doctor.Problem, remedy, "OPcache is full, and scripts that are not in it are compiled for each request: %s", text)
	}
	if p.opcache != nil && p.opcache.Available {
		list = append(list, p.opcache.cacheWarnings()...)
		if c := &p.opcache.Configuration; c.Validate && c.Frequency == 0 {
			add(doctor.Note, "write `ini opcache.revalidate_freq 2`, unless this is a development machine",
				"opcache.revalidate_freq is 0: PHP looks at the file of every script at each request, for 3 to 13 %% of the CPU time")
		}
	}
	if on := p.PHP.OPcache; on != nil && !*on {
		add(doctor.Note, "`caddy php-pool doctor` says how to turn it on", "OPcache is off: each request compiles its scripts anew")
	}
	for _, script := range slices.Sorted(maps.Keys(p.Quarantined)) {
		add(doctor.Problem, "see Caddy's log for how its workers ended",
			"%s is not run until %s: it killed worker after worker", script, p.Quarantined[script])
	}
	if n := p.Exits["crashed"]; n > 0 {
		add(doctor.Note, "see Caddy's log for all of them (worker lost)", "%s crashed%s", count(n, "worker"), p.LastCrash.details())
	}
	if o := p.opcache; o != nil && !o.Full && o.restarts() > 0 {
		add(doctor.Note, o.restartRemedy(), "OPcache was full and emptied itself %s", times(o.restarts()))
	}
	if n := p.Requests.Rejected; n > 0 {
		add(doctor.Note, poolTooSmall, "%s turned away: the line was full or too slow, or the script quarantined", were(n, "request"))
	}
	if n := p.Workers.MaxReached; n > 0 && n >= p.Requests.Total/waitShare {
		add(doctor.Note, poolTooSmall, "%s had to wait because all %s were busy", count(n, "request"), count(p.Workers.Max, "worker"))
	}
	return list
}

// poolTooSmall is what to do about a pool that is too small.
const poolTooSmall = "raise max_workers, if memory allows (`caddy php-pool scale`), or see by `caddy php-pool top` what takes so long"

// details is what follows the number of crashes.
func (c *crashInfo) details() string {
	if c == nil {
		return ""
	}
	text := "; the last at " + c.Time
	if c.ExitStatus != "" {
		text += " by " + c.ExitStatus
	}
	if r := c.Request; r != nil {
		text += fmt.Sprintf(", running %s %s (%s)", r.Method, r.URI, r.Script)
	}
	return text
}

// times is "once", "5 times".
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// wait is "1 request waits", "2 requests wait".
func wait(n int) string {
	if n == 1 {
		return "1 request waits"
	}
	return count(n, "request") + " wait"
}

// were is "1 request was", "2 requests were".
func were(n uint64, what string) string {
	if n == 1 {
		return count(n, what) + " was"
	}
	return count(n, what) + " were"
}
