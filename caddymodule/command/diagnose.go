package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/internal/human"
)

const (
	// longRunningAfter is the duration in seconds after which a request is reported
	// because it may hang.
	longRunningAfter = 30

	// waitShare: a pool is reported as too small if at least one request in so many
	// had to wait for a worker.
	waitShare = 100

	// raiseMaxWorkers is the remedy for a pool that is too small.
	raiseMaxWorkers = "raise max_workers if memory allows (`caddy php-pool scale`), or find the slow requests with `caddy php-pool top`"
)

// diagnose returns the problems of a pool: first the current ones, then those
// since its start.
func diagnose(p *poolInfo) []doctor.Finding {
	d := diagnosis{pool: p}
	if p.Draining {
		d.add(doctor.Note, fmt.Sprintf("run `caddy php-pool drain --undo %s` when it is to get requests again", p.Name), "drained: its ping responds with 503")
	}
	if p.UntoldHTTPS {
		d.add(doctor.Note, "write `trust_forwarded` in the block of php_pool, unless the application reads that header",
			"requests come through a trusted proxy with X-Forwarded-Proto: https, and PHP sees http")
	}
	d.workers()
	if p.opcache != nil {
		d.opcache(p.opcache)
	}
	if on := p.PHP.OPcache; on != nil && !*on {
		d.add(doctor.Note, "run `caddy php-pool doctor`, which says how to turn it on", "OPcache is off: every request compiles its scripts")
	}
	for _, script := range slices.Sorted(maps.Keys(p.Quarantined)) {
		d.add(doctor.Problem, "see Caddy's log for the exit status of its workers",
			"%s is quarantined until %s after repeated worker crashes", script, p.Quarantined[script])
	}
	d.history()
	return d.findings
}

// diagnosis collects the problems of a pool.
type diagnosis struct {
	pool     *poolInfo
	findings []doctor.Finding
}

func (d *diagnosis) add(level doctor.Level, remedy, format string, args ...any) {
	d.findings = append(d.findings, doctor.Finding{Level: level, Summary: fmt.Sprintf(format, args...), Remedy: remedy})
}

// workers reports failed launches, the queue, and long requests.
func (d *diagnosis) workers() {
	p := d.pool
	if p.LastFailure != "" {
		d.add(doctor.Problem, "run `caddy php-pool doctor`", "cannot start a worker: %s", p.LastFailure)
	}
	waiting := "1 request is waiting"
	if p.Queue.Length > 1 {
		waiting = fmt.Sprintf("%d requests are waiting", p.Queue.Length)
	}
	switch {
	case p.Queue.Length > 0 && p.Queue.Length >= p.Queue.Max:
		d.add(doctor.Problem, raiseMaxWorkers, "the queue is full: %s, and further ones get 503", waiting)
	case p.Queue.Length > 0:
		d.add(doctor.Note, raiseMaxWorkers, "%s for a worker; %d of %d are busy", waiting, p.Workers.Busy+p.Workers.Draining, p.Workers.Max)
	}
	if all := p.AllPools; all != nil && all.Limited {
		d.add(doctor.Note, "raise max_workers_total if memory allows, or find the slow requests with `caddy php-pool top`",
			"no further worker can be started: all pools together have %d, and max_workers_total is %d", all.Workers, all.Max)
	}
	for i := range p.WorkersList {
		w := &p.WorkersList[i]
		if r := w.Request; r != nil && r.Duration >= longRunningAfter {
			d.add(doctor.Note, fmt.Sprintf("find out where it is with `caddy php-pool backtrace %s`, or kill the worker with "+
				"`caddy php-pool recycle --force %s %d`; request_timeout limits all requests", p.Name, p.Name, w.ID),
				"worker %d has been running %s %s for %s s (%s)", w.ID, r.Method, r.URI, secondsText(r.Duration), r.Script)
		}
	}
}

// notQueried is how the reason begins if workers are not queried on purpose.
const notQueried = "not queried: "

// opcache reports an OPcache that is full, almost full, or slow.
func (d *diagnosis) opcache(o *opcacheInfo) {
	if o.Full {
		reason, remedy := o.fullReason()
		d.add(doctor.Problem, remedy, "OPcache is full, and scripts that are not in it are compiled for each request: %s", reason)
	}
	if !o.Available {
		if strings.HasPrefix(o.Reason, notQueried) {
			d.add(doctor.Note, "turn the extension off if these figures matter more", "OPcache is %s", o.Reason)
		}
		return
	}
	d.findings = append(d.findings, o.cacheWarnings()...)
	if c := &o.Configuration; c.Validate && c.Frequency == 0 {
		d.add(doctor.Note, "write `ini opcache.revalidate_freq 2`, unless this is a development machine",
			"opcache.revalidate_freq is 0: PHP checks the file of every script for each request, which takes 3 to 13 %% of the CPU time")
	}
}

// history reports crashes, restarts of OPcache, and requests that were rejected
// or had to wait, since the pool started.
func (d *diagnosis) history() {
	p := d.pool
	if n := p.Exits["crashed"]; n > 0 {
		d.add(doctor.Note, "see Caddy's log for all of them (worker exited unexpectedly)", "%s crashed%s",
			human.Plural(n, "worker"), p.LastCrash.details())
	}
	if n := p.Exits["boot_failed"]; n > 0 {
		d.add(doctor.Note, "see Caddy's log for PHP's message (cannot launch a worker; retrying)", "the worker script %s failed to start %s",
			p.WorkerScript, human.Plural(n, "time"))
	}
	if o := p.opcache; o != nil && !o.Full && o.restarts() > 0 {
		d.add(doctor.Note, o.restartRemedy(), "OPcache was full and restarted %s", human.Plural(o.restarts(), "time"))
	}
	if n := p.Requests.Rejected; n > 0 {
		d.add(doctor.Note, p.rejectionRemedy(), "rejected %s%s", human.Plural(n, "request"), p.rejectionReasons())
	}
	if n := p.Workers.MaxReached; n > 0 && n >= p.Requests.Total/waitShare {
		d.add(doctor.Note, raiseMaxWorkers, "%s had to wait because all workers were busy (maximum %d)",
			human.Plural(n, "request"), p.Workers.Max)
	}
}

// rejectionRemedy returns the remedy for the reason that a larger pool helps with
// first, because it concerns all clients.
func (p *poolInfo) rejectionRemedy() string {
	switch r := &p.Requests.Rejections; {
	case r.QueueFull > 0:
		return raiseMaxWorkers
	case r.ClientLimit > 0:
		return "if these clients are behind a proxy, set trusted_proxies; otherwise raise max_per_client, if one address needs more workers"
	case r.Quarantined > 0:
		return "fix the script: see Caddy's log for how its workers exited (worker exited unexpectedly)"
	}
	return raiseMaxWorkers
}

// rejectionReasons returns the reasons why requests were rejected, with a number
// for each, to follow the total.
func (p *poolInfo) rejectionReasons() string {
	var reasons []string
	add := func(n uint64, reason string) {
		if n > 0 {
			reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
		}
	}
	r := &p.Requests.Rejections
	add(r.QueueFull, "queue full")
	add(r.ClientLimit, "client limit")
	add(r.Quarantined, "script in quarantine")
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, ", ")
}

// details returns time, exit status and request of a crash, to follow the number
// of crashes.
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
