package pool

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

// hangTimeout is how long the launches of a generation without workers may take
// before the next generation is started in addition. A master has forked its children
// in advance, so a launch is a connection to one of them and takes milliseconds.
const hangTimeout = 5 * time.Second

// watchGeneration replaces a generation when its master process exits.
func (p *Pool) watchGeneration(g *generation) {
	select {
	case <-g.launcher.Done():
	case <-p.root.Done():
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.masterExitedLocked(g)
	}
}

// masterExitedLocked replaces a generation whose master process has exited. If
// it has signaled the workers to stop, they serve no more requests.
func (p *Pool) masterExitedLocked(g *generation) {
	if g.failed || g.retired {
		return
	}
	delay := p.failures.add(time.Now(), g.serial)
	p.masterExits++
	p.logLocked(p.log.Error, "master process exited; starting a new generation",
		zap.Int("generation", g.number), retryIn(delay))
	p.replaceLocked(g, !g.launcher.WorkersStay())
}

// masterHangsLocked replaces a generation whose launches time out, as if its master
// had exited: it may have been stopped, or be blocked in the kernel.
func (p *Pool) masterHangsLocked(g *generation) {
	g.hangs = true
	p.masterExits++
	p.logLocked(p.log.Error, "master process hangs; starting a new generation",
		zap.Int("generation", g.number), retryIn(p.failures.wait(time.Now())))
	p.replaceLocked(g, false)
}

// replaceLocked ends the launches of a generation that has failed and starts the
// next one. The workers of the old one serve until that is ready, because it may be
// impossible to start; at once makes them stop now, or when their request ends.
func (p *Pool) replaceLocked(g *generation, atOnce bool) {
	g.failed, p.replacing = true, true
	p.endLaunchesLocked(g)
	if atOnce {
		p.retireGenerationLocked(g)
	} else {
		p.closeIfDrainedLocked(g)
	}
	p.growLocked()
	p.wakeLocked()
}

// hangsSinceLocked returns since when the current generation has no workers and
// launches one, on the pool's clock, and whether the next generation could be
// started in its place now.
func (p *Pool) hangsSinceLocked() (time.Duration, bool) {
	g := p.gen
	if g == nil || g.slots == 0 || p.settings.Boots || g.starting == 0 || g.inUse > g.starting {
		return 0, false
	}
	return g.startingSince, !p.startPending && p.failures.wait(time.Now()) == 0
}

// replaceHangingLocked starts a new generation if the launches of the current one
// take too long and no worker could serve meanwhile.
func (p *Pool) replaceHangingLocked(now time.Duration) {
	since, replaceable := p.hangsSinceLocked()
	if !replaceable || now-since < hangTimeout {
		return
	}
	p.logLocked(p.log.Warn, "launches take long; starting a new generation",
		zap.Int("generation", p.gen.number), zap.Duration("since", now-since))
	p.gen.hangs, p.replacing = true, true
	p.startInBackgroundLocked()
}

// startInBackgroundLocked starts a generation when one is needed: none exists, or
// the current one has failed. Only one is started at a time.
func (p *Pool) startInBackgroundLocked() {
	if p.startPending {
		return
	}
	p.startPending = true
	at := p.attemptLocked()
	p.goLocked(func() {
		err := p.restart(p.root, true)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.startPending = false
		switch {
		case errors.Is(err, ErrClosed):
		case err != nil:
			p.launchFailedLocked(at, err)
		case p.replacing:
			p.replacing = false
			p.logLocked(p.log.Info, "new generation active", zap.String("reason", "the last one failed"))
		}
		p.growLocked()
		p.wakeLocked()
		p.notifyLaunchedLocked()
	})
}
