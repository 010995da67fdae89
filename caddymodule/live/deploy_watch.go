package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// requestCounts counts the requests of a pool that have ended.
type requestCounts struct{ total, failed uint64 }

// countRequests counts as failed what a visitor sees as an error of the server: a status of
// 5xx from PHP, no response from it, and requests that got no worker.
func countRequests(p *Pool) requestCounts {
	s := p.Pool.Stats()
	r := &s.Requests
	failed := max(r.Failed, s.Exits[pool.Crashed])
	return requestCounts{r.Total + r.Rejected, p.ServerErrors.Load() + failed + r.Rejected}
}

func (c requestCounts) minus(o requestCounts) requestCounts {
	return requestCounts{c.total - o.total, c.failed - o.failed}
}

func (c requestCounts) share() float64 {
	if c.total == 0 {
		return 0
	}
	return float64(c.failed) / float64(c.total)
}

const (
	// A release is rolled back if so many requests have failed since the switch, which are
	// more than minFailedShare of all, and more than failedFactor times the share before.
	minFailed      = 5
	minFailedShare = 0.05
	failedFactor   = 3

	watchPoll = 200 * time.Millisecond
)

// worse reports whether a release must be rolled back.
func worse(before, since requestCounts) bool {
	return since.failed >= minFailed && since.share() > max(minFailedShare, failedFactor*before.share())
}

// watch compares the requests with those of before for a time, and rolls back if more
// fail, or on request.
func (d *deploy) watch() {
	defer d.end()
	ticker := time.NewTicker(watchPoll)
	defer ticker.Stop()
	end := time.NewTimer(time.Duration(d.Watch))
	defer end.Stop()
	first := d.targets[0].pool
	for ended := false; !ended; {
		var result chan error
		reason := ""
		select {
		case <-first.closeCtx.Done():
			return
		case result = <-d.undo:
			reason = "by request"
		case <-end.C:
			ended = true
		case <-ticker.C:
		}
		var since requestCounts
		for _, t := range d.targets {
			n := countRequests(t.pool).minus(t.counts)
			since.total, since.failed = since.total+n.total, since.failed+n.failed
			if reason == "" && worse(t.counts, n) {
				reason = fmt.Sprintf("%d of %d requests to pool %s have failed since the switch; before, %.1f %% of all", n.failed, n.total, t.pool.Name, 100*t.counts.share())
			}
		}
		d.update(func(s *Deployed) { s.Requests, s.Failed = since.total, since.failed })
		if reason != "" {
			_, err := d.undoTo(first.closeCtx, d.before, reason)
			if result != nil {
				result <- err
			}
			return
		}
	}
	removed := d.removeEarlier()
	d.update(func(s *Deployed) { s.State, s.Removed = StateDeployed, removed })
}

// undoWatched lets the watch of another call roll back.
func (d *deploy) undoWatched(ctx context.Context, busy *DeployBusyError) (Deployed, error) {
	result := make(chan error, 1)
	select {
	case busy.undo <- result:
	case <-ctx.Done():
		return Deployed{}, context.Cause(ctx)
	case <-time.After(time.Second):
		return Deployed{}, busy // it has just ended, or is rolled back already
	}
	if err := <-result; err != nil {
		return Deployed{}, err
	}
	return d.update(func(*Deployed) {}), nil
}

// rollBack switches to the release before, which is d.Release.
func (d *deploy) rollBack(ctx context.Context) (Deployed, error) {
	return d.undoTo(context.WithoutCancel(ctx), d.Release, "by request")
}

// undoTo switches the link to a target at once, and then restarts the pools: the target
// has served before, and visitors must not wait.
func (d *deploy) undoTo(ctx context.Context, target, reason string) (Deployed, error) {
	bad, err := readLink(d.link)
	bad = absoluteTarget(d.link, bad)
	if err == nil && !d.Rollback && bad != d.Release {
		err = fmt.Errorf("link %s has been changed by another program: it leads to %s", d.link, bad)
	}
	if err == nil {
		err = replaceLink(d.link, target)
	}
	logger := d.targets[0].pool.logger
	if err != nil {
		logger.Error("cannot roll back the release", zap.String("link", d.link), zap.String("release", bad), zap.String("reason", reason), zap.Error(err))
		if !d.Rollback {
			d.update(func(s *Deployed) { s.State, s.Reason = StateDeployed, fmt.Sprintf("cannot roll back: %v", err) })
		}
		return Deployed{}, err
	}
	target = absoluteTarget(d.link, target)
	var errs []error
	names := []string{}
	for _, t := range d.targets {
		names = append(names, t.pool.Name)
		t.pool.logger.Warn("release rolled back", zap.String("link", d.link), zap.String("release", bad), zap.String("previous", target), zap.String("reason", reason))
		if err := t.pool.Restart(ctx, "rolled back"); err != nil {
			errs = append(errs, fmt.Errorf("link %s leads to %s again, but pool %s keeps its generation: %w", d.link, target, t.pool.Name, err))
		}
	}
	if err := forgetRelease(d.link, bad); err != nil {
		logger.Warn("cannot record the rollback", zap.String("link", d.link), zap.Error(err))
	}
	state := d.update(func(s *Deployed) {
		if d.Rollback {
			*s = Deployed{Link: d.link, Release: bad, Pools: slices.Clone(names), Time: time.Now()}
		}
		s.State, s.Reason, s.Previous = StateRolledBack, reason, target
	})
	return state, errors.Join(errs...)
}
