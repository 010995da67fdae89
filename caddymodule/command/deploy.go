package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

func deployCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy <release>|--rollback [--link <symlink>] [--warmup <path>]... [--watch <duration>] [--keep <n>] [--drain] [--address <interface>]...",
		Short: "Switches sites to another release, once that has been warmed up",
		Long: `
Switches a symlink, through which the roots of sites lead, to the directory of
another release. Before, it starts new workers and sends them the requests of the
option warmup, or of --warmup, as if the symlink led to the release already; by
default it requests / of each site. If a request fails, no visitor has seen the
release, everything stays as it is, and the exit code is 1. Otherwise symlink and
workers are switched in one step.

--watch compares the share of failed requests with that of before, and switches
back if it is much higher; the exit code is then 1. --rollback switches to the
release that was deployed before, at once.

With several --address it goes from one machine to the next; the paths are the same
on all of them. At the first that fails it stops, and takes back those before it.
--drain takes each machine out of the balancer meanwhile.

Caddy's user must be able to write in the directory of the symlink.`,
		Example: `  caddy php-pool deploy /srv/releases/42
  caddy php-pool deploy --rollback
  caddy php-pool deploy --address node1:2019 --address node2:2019 --drain --watch 30s /srv/releases/42`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.String("link", "", "The symlink that leads to the current release; default: the only one that roots of sites lead through")
	flags.Bool("rollback", false, "Switch to the release before")
	flags.StringArray("warmup", nil, "A path or URL to request instead of those of the option warmup; may be repeated")
	flags.Duration("watch", 0, "How long to watch the requests after the switch")
	flags.Int("keep", 0, "Remove earlier releases that this command has deployed, all but the last n")
	flags.Bool("drain", false, "Drain each machine before, and undo that afterwards")
	flags.Duration("wait", 30*time.Second, "With --drain: how long to wait until no request is left")
	addressFlag(cmd)
	cmd.RunE = runE(runDeploy)
	return cmd
}

// deployRequest is the body of a deploy call.
type deployRequest struct {
	Link     string   `json:"link,omitempty"`
	Release  string   `json:"release,omitempty"`
	Rollback bool     `json:"rollback,omitempty"`
	Warmup   []string `json:"warmup,omitempty"`
	Watch    string   `json:"watch,omitempty"`
	Keep     int      `json:"keep,omitempty"`
}

// deployedInfo is its response, and an element of that of GET.
type deployedInfo struct {
	Link     string   `json:"link"`
	Release  string   `json:"release"`
	Previous string   `json:"previous"`
	Pools    []string `json:"pools"`
	State    string   `json:"state"`
	Reason   string   `json:"reason"`
	Requests uint64   `json:"requests"`
	Failed   uint64   `json:"failed"`
	Removed  []string `json:"removed"`
}

// deployment is a run of the command.
type deployment struct {
	deployRequest
	drain bool
	wait  time.Duration
	out   io.Writer
}

// runDeploy switches one machine after the other.
func runDeploy(cmd *cobra.Command, args []string) error {
	d, err := newDeployment(cmd, args)
	if err != nil {
		return err
	}
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// before anything is changed
	if err := machines.each(func(_ int, c *client) error { _, err := c.pools(ctx); return err }); err != nil {
		return err
	}
	for i, m := range machines {
		err := d.deploy(ctx, m)
		if err == nil {
			continue
		}
		err = machines.named(m, err)
		if i > 0 && !d.Rollback {
			err = errors.Join(err, d.takeBack(machines[:i]))
		}
		return err
	}
	return nil
}

// newDeployment reads the flags.
func newDeployment(cmd *cobra.Command, args []string) (*deployment, error) {
	flags := cmd.Flags()
	d := &deployment{out: cmd.OutOrStdout()}
	d.Link, _ = flags.GetString("link")
	d.Rollback, _ = flags.GetBool("rollback")
	d.Warmup, _ = flags.GetStringArray("warmup")
	d.Keep, _ = flags.GetInt("keep")
	d.drain, _ = flags.GetBool("drain")
	d.wait, _ = flags.GetDuration("wait")
	watch, _ := flags.GetDuration("watch")
	switch {
	case d.Rollback == (len(args) == 1):
		return nil, errors.New("write either the directory of the release, or --rollback")
	case watch < 0 || d.Keep < 0 || d.wait < 0:
		return nil, errors.New("--watch, --keep and --wait: write a value that is not negative")
	case watch > 0:
		d.Watch = watch.String()
	}
	if !d.Rollback {
		d.Release = args[0]
	}
	for _, name := range []*string{&d.Link, &d.Release} {
		var err error
		switch {
		case *name == "":
		case path.IsAbs(*name): // on machines that need not be like this one, which may have Windows
			*name = path.Clean(*name)
		default:
			if *name, err = filepath.Abs(*name); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// deploy switches one machine. If it is drained and has an error, it is as before.
func (d *deployment) deploy(ctx context.Context, m *client) (err error) {
	if d.drain {
		undo, drainErr := d.drainMachine(ctx, m)
		if drainErr != nil {
			return drainErr
		}
		defer func() { err = errors.Join(err, undo()) }()
	}
	var state deployedInfo
	err = m.call(ctx, http.MethodPost, deployPath, d.deployRequest, &state)
	if ctx.Err() != nil {
		return errors.New("interrupted: Caddy refuses the release, unless it has switched already; `caddy php-pool deploy --rollback` takes it back")
	}
	if _, ok := errors.AsType[*unreachableError](err); ok {
		return fmt.Errorf("%w; its symlink may lead to either release", err)
	}
	if err != nil {
		return err
	}
	d.Link = state.Link // the same on all machines
	if state.State == "watching" {
		fmt.Fprintf(d.out, "%s: %s leads to %s; watching it for %s\n", m.address, state.Link, state.Release, d.Watch)
		if state, err = d.await(ctx, m, state); err != nil {
			return err
		}
	}
	for _, dir := range state.Removed {
		fmt.Fprintf(d.out, "%s: removed %s\n", m.address, dir)
	}
	switch {
	case d.Rollback:
		fmt.Fprintf(d.out, "%s: %s leads to %s again, not to %s\n", m.address, state.Link, state.Previous, state.Release)
	case state.State == "rolled back":
		return fmt.Errorf("release %s has been rolled back to %s: %s", state.Release, state.Previous, state.Reason)
	case state.Reason != "":
		return errors.New(state.Reason)
	default:
		fmt.Fprintf(d.out, "%s: %s leads to %s; %s had been warmed up before\n", m.address, state.Link, state.Release, poolList(state.Pools))
	}
	return nil
}

// deployPath is the path of deployments in the admin API.
const deployPath = "/php_pool/deploy"

// drainMachine drains all pools of a machine that are not drained yet.
func (d *deployment) drainMachine(ctx context.Context, m *client) (undo func() error, err error) {
	list, err := m.pools(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list {
		if !list[i].Draining {
			names = append(names, list[i].Name)
		}
	}
	undo = func() error { return m.setDrained(context.WithoutCancel(ctx), names, false) }
	if err = m.setDrained(ctx, names, true); err == nil {
		err = m.waitIdle(ctx, names, d.wait, "it is not drained any more")
	}
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// await waits until a watch has ended. Caddy goes on with it if the command is interrupted.
func (d *deployment) await(ctx context.Context, m *client, state deployedInfo) (deployedInfo, error) {
	for {
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("interrupted; Caddy still watches %s", state.Release)
		case <-time.After(idlePoll):
		}
		var list []deployedInfo
		if err := m.call(ctx, http.MethodGet, deployPath, nil, &list); err != nil {
			return state, err
		}
		for _, s := range list {
			if s.Link == state.Link && s.State != "watching" {
				return s, nil
			}
		}
	}
}

// takeBack rolls machines back, the last one first.
func (d *deployment) takeBack(machines []*client) error {
	back := *d
	back.deployRequest = deployRequest{Link: d.Link, Rollback: true}
	ctx := context.Background() // the command may have been interrupted
	var errs []error
	for _, machine := range slices.Backward(machines) {
		if err := back.deploy(ctx, machine); err != nil {
			errs = append(errs, fmt.Errorf("%s still has the release: taking it back: %w", machine.address, err))
		}
	}
	if len(errs) == 0 {
		fmt.Fprintf(d.out, "taken back on %s\n", human.Plural(len(machines), "machine"))
	}
	return errors.Join(errs...)
}
