package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Deployment is the body of a deploy call.
type Deployment struct {
	// Link is the symlink that leads to the current release: the roots of the sites are
	// the link, or below it. It may be missing if only one symlink is in question.
	Link string `json:"link"`
	// Release is the absolute path of the directory to which the link is to lead.
	Release string `json:"release"`
	// Rollback switches to the release before, without a warmup.
	Rollback bool `json:"rollback"`
	// Warmup replaces the option warmup of the pools.
	Warmup []string `json:"warmup"`
	// Watch is how long to compare the share of failed requests with that of before.
	Watch caddy.Duration `json:"watch"`
	// Keep is the number of releases to keep; earlier ones are removed. 0 keeps all.
	Keep int `json:"keep"`
}

// The values of [Deployed.State].
const (
	StateDeployed   = "deployed"
	StateWatching   = "watching"
	StateRolledBack = "rolled back"
)

// Deployed is the last deployment of a link.
type Deployed struct {
	Link     string    `json:"link"`
	Release  string    `json:"release"`  // to which the link has been switched
	Previous string    `json:"previous"` // to which it led before; empty if it was missing
	Pools    []string  `json:"pools"`    // that have a new generation
	Time     time.Time `json:"time"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"` // for a rollback, or why it failed
	Requests uint64    `json:"requests"`         // since the switch, until the watch has ended
	Failed   uint64    `json:"failed"`
	Removed  []string  `json:"removed,omitempty"` // earlier releases
}

// DeployError means that a deployment was refused, and why. Nothing has changed.
type DeployError struct{ error }

// Unwrap returns the cause.
func (e *DeployError) Unwrap() error { return e.error }

// DeployBusyError means that another deployment of the same link is running.
type DeployBusyError struct {
	link, release string
	// undo, unless it is nil, ends the watch of the deployment by a rollback, whose result
	// is sent to the channel in it.
	undo chan chan error
}

func (e *DeployBusyError) Error() string {
	state := "running"
	if e.undo != nil {
		state = "watched: --rollback undoes it"
	}
	return fmt.Sprintf("link %s: another deploy, of %s, is %s; or wait until it has ended", e.link, e.release, state)
}

// deployments are those of this process, by link.
var deployments = struct {
	sync.Mutex
	running map[string]*DeployBusyError
	last    map[string]Deployed
}{running: map[string]*DeployBusyError{}, last: map[string]Deployed{}}

// Deployments returns the last deployment of each link, sorted by link.
func Deployments() []Deployed {
	deployments.Lock()
	defer deployments.Unlock()
	list := slices.AppendSeq([]Deployed{}, maps.Values(deployments.last))
	slices.SortFunc(list, func(a, b Deployed) int { return strings.Compare(a.Link, b.Link) })
	return list
}

// deploy is one deployment while it runs.
type deploy struct {
	Deployment
	link    string // without other symlinks in its path
	before  string // to which the link leads, as it is written in it; empty if it is missing
	targets []*deployTarget
	undo    chan chan error // see DeployBusyError; nil without a watch
}

// deployTarget is a pool that gets a new generation.
type deployTarget struct {
	pool     *Pool
	owner    Owner
	requests []warmupRequest

	current, fresh *poolcfg.Plan
	prepared       *pool.Prepared // nil once it is active
	mapped         bool           // fresh has paths in the release instead of those through the link
	counts         requestCounts  // before the switch
}

// Deploy starts a generation of each pool whose sites lead through the link, warms it up
// as if the link led to the release already, and then switches the link and the
// generations. Visitors get the release only if all of these requests succeed; a
// [DeployError] and a [DeployBusyError] change nothing. It returns when the link has been
// switched; [Deployments] says what comes of a watch.
func Deploy(ctx context.Context, request Deployment) (Deployed, error) {
	d := &deploy{Deployment: request}
	if err := d.checkPaths(ctx); err != nil {
		return Deployed{}, &DeployError{err}
	}
	if busy := d.begin(); busy != nil {
		if d.Rollback && busy.undo != nil {
			return d.undoWatched(ctx, busy)
		}
		return Deployed{}, busy
	}
	defer func() {
		if d.undo == nil { // else the watch calls it
			d.end()
		}
	}()
	if d.Rollback {
		return d.rollBack(ctx)
	}
	if err := d.run(ctx); err != nil {
		for _, t := range d.targets {
			t.pool.logger.Warn("release refused; the site is unchanged", zap.String("link", d.link), zap.String("release", d.Release), zap.Error(err))
		}
		return Deployed{}, &DeployError{err}
	}
	return d.finish(), nil
}

// begin makes other deployments of the link wait. It returns the one that is running.
func (d *deploy) begin() *DeployBusyError {
	deployments.Lock()
	defer deployments.Unlock()
	if busy := deployments.running[d.link]; busy != nil {
		copied := *busy
		return &copied
	}
	deployments.running[d.link] = &DeployBusyError{link: d.link, release: d.Release}
	return nil
}

func (d *deploy) end() {
	deployments.Lock()
	defer deployments.Unlock()
	delete(deployments.running, d.link)
}

// update changes the state of the deployment of the link, and returns it.
func (d *deploy) update(change func(*Deployed)) Deployed {
	deployments.Lock()
	defer deployments.Unlock()
	state := deployments.last[d.link]
	change(&state)
	deployments.last[d.link] = state
	return state
}

// run prepares the generations, and switches.
func (d *deploy) run(ctx context.Context) error {
	next, err := newLink(d.link, d.Release) // tells now whether Caddy may do that
	if err != nil {
		return err
	}
	defer os.Remove(next) // it was renamed if all went well
	for _, t := range d.targets {
		t.pool.changeMu.Lock() // in the order of their names, so that two deployments cannot block each other
		defer t.pool.changeMu.Unlock()
	}
	defer func() {
		for _, t := range d.targets {
			if t.prepared != nil {
				go t.prepared.Discard()
			}
		}
	}()
	for _, t := range d.targets {
		if err := t.prepare(ctx, &release.Release{Link: d.link, Dir: d.Release}); err != nil {
			return fmt.Errorf("pool %s: %w", t.pool.Name, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := d.switchTo(next); err != nil {
		return err
	}
	for _, t := range d.targets {
		t.settle(ctx)
	}
	return nil
}

// prepare starts a generation for the release and warms it up.
func (t *deployTarget) prepare(ctx context.Context, rel *release.Release) error {
	start := time.Now()
	if t.current, t.owner = t.pool.Active(); t.current == nil {
		return ErrNotStarted
	}
	options, err := t.current.Options.Reread()
	if err != nil {
		return err
	}
	options = options.InRelease(func(path string) string {
		mapped := rel.Path(path)
		t.mapped = t.mapped || mapped != path
		return mapped
	})
	if t.fresh, err = poolcfg.NewPlan(ctx, t.pool.logger, options, poolcfg.Uncached); err != nil {
		return err
	}
	t.fresh.Settings, t.fresh.Sizing = t.current.Settings, t.current.Sizing
	if t.prepared, err = t.pool.Pool.Prepare(ctx, t.fresh.Starter(t.pool.logger, t.pool.resetRequested), t.fresh.Settings); err != nil {
		return err
	}
	if _, errs := t.pool.warmWith(ctx, t.fresh, t.prepared, t.requests, rel); len(errs) > 0 {
		return errors.Join(errs...)
	}
	t.fresh.LogReady(t.pool.logger, time.Since(start))
	return nil
}

// switchTo renames the symlink next to the link, and activates the generations.
func (d *deploy) switchTo(next string) error {
	for _, t := range d.targets {
		t.pool.mu.Lock()
		defer t.pool.mu.Unlock()
		if t.pool.plan.Key != t.current.Key {
			return ErrConfigChanged
		}
	}
	if target, err := readLink(d.link); err != nil {
		return err
	} else if target != d.before {
		return fmt.Errorf("link %s has been changed by another program meanwhile: it leads to %q", d.link, target)
	}
	if err := os.Rename(next, d.link); err != nil {
		return err
	}
	for _, t := range d.targets {
		t.counts = countRequests(t.pool)
		prepared := t.prepared
		t.prepared = nil
		if err := prepared.Commit(); err != nil { // the pool has been closed
			return errors.Join(err, replaceLink(d.link, d.before))
		}
		t.pool.replacedLocked("deploy", t.current, t.fresh)
	}
	return nil
}

// settle gives the plan the key that a config has from now on, because the link leads to
// the release: otherwise the next reload would start a generation.
func (t *deployTarget) settle(ctx context.Context) {
	if !t.mapped {
		return
	}
	options, err := t.current.Options.Reread()
	if err != nil {
		return
	}
	plain, err := poolcfg.NewPlan(ctx, zap.NewNop(), options, poolcfg.Uncached)
	if err != nil {
		return // the next reload says why
	}
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	if t.pool.plan.Key == t.fresh.Key {
		settled := *t.pool.plan
		settled.Key = plain.Key
		t.pool.plan = &settled
	}
}

// finish records the deployment, and starts the watch.
func (d *deploy) finish() Deployed {
	state := Deployed{Link: d.link, Release: d.Release, Previous: absoluteTarget(d.link, d.before), Time: time.Now(), State: StateDeployed, Pools: []string{}}
	logger := d.targets[0].pool.logger
	for _, t := range d.targets {
		state.Pools = append(state.Pools, t.pool.Name)
		t.pool.logger.Info("release deployed", zap.String("link", d.link), zap.String("release", d.Release), zap.String("previous", state.Previous))
	}
	if err := recordRelease(d.link, state.Previous, d.Release); err != nil {
		logger.Warn("cannot record the release, so --rollback will not know the one before", zap.String("link", d.link), zap.Error(err))
	}
	if d.Watch > 0 {
		state.State = StateWatching
		d.undo = make(chan chan error)
		deployments.Lock()
		deployments.running[d.link].undo = d.undo
		deployments.Unlock()
		defer func() { go d.watch() }()
	} else {
		state.Removed = d.removeEarlier()
	}
	return d.update(func(s *Deployed) { *s = state })
}
