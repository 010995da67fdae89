package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

func drainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain <pool>...|--all [--wait <duration>] [--undo] [--address <interface>]...",
		Short: "Lets a balancer send its requests to other machines",
		Long: `
Makes the ping of pools (php_pool_ping) respond with 503 and the text draining, so
that the balancer in front of this machine sends no further requests. Those that
arrive all the same are served. It stays so over a reload, until --undo or until
Caddy is restarted.

--wait waits until no request is left: the exit code is 1 if some are left after
that time, and the pools stay drained.

With several --address it does so on all these machines, or on none if one of them does
not respond.`,
	}
	cmd.Flags().Bool("all", false, "Drain all pools")
	cmd.Flags().Duration("wait", 0, "How long to wait until no request is left")
	cmd.Flags().Bool("undo", false, "Let requests come again")
	cmd.MarkFlagsMutuallyExclusive("wait", "undo")
	addressFlag(cmd)
	cmd.RunE = runE(runDrain)
	return cmd
}

// runDrain drains pools, or undoes that. To drain all of them requires --all, as to
// restart them.
func runDrain(cmd *cobra.Command, names []string) error {
	all, _ := cmd.Flags().GetBool("all")
	undo, _ := cmd.Flags().GetBool("undo")
	wait, _ := cmd.Flags().GetDuration("wait")
	if wait < 0 {
		return fmt.Errorf("--wait %v: write a duration such as 30s", wait)
	}
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	selected, err := machines.selectPools(cmd.Context(), names, all)
	if err != nil {
		return err
	}
	err = machines.each(func(i int, c *client) error { return c.setDrained(cmd.Context(), selected[i].names, !undo) })
	if err != nil {
		return err
	}
	texts := make([]string, len(machines))
	err = machines.each(func(i int, c *client) (err error) {
		texts[i], err = c.drained(cmd.Context(), selected[i].names, undo, wait)
		return err
	})
	for i, c := range machines {
		if texts[i] != "" {
			fmt.Fprintln(cmd.OutOrStdout(), machines.label(c)+texts[i])
		}
	}
	return err
}

// drained waits, if it has to, and says what has been done to the pools of a machine.
func (c *client) drained(ctx context.Context, names []string, undo bool, wait time.Duration) (string, error) {
	switch {
	case undo:
		return poolList(names) + ": requests may come again", nil
	case wait == 0:
		return poolList(names) + ": drained; the ping responds with 503", nil
	}
	start := time.Now()
	if err := c.waitIdle(ctx, names, wait, "it stays drained"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: drained after %v; no request is left", poolList(names), time.Since(start).Round(time.Millisecond)), nil
}

// poolList names pools for a message.
func poolList(names []string) string {
	if len(names) == 1 {
		return "pool " + names[0]
	}
	return "pools " + strings.Join(names, ", ")
}

// selectPools returns the names of the pools for a command that takes names or --all, and
// the list of all pools. With an unknown name it returns an error, so that nothing is
// changed.
func (c *client) selectPools(ctx context.Context, names []string, all bool) ([]string, []poolInfo, error) {
	if all && len(names) > 0 {
		return nil, nil, errors.New("--all and names of pools exclude each other: use one of them")
	}
	list, err := c.pools(ctx)
	if !all && len(names) == 0 {
		return nil, nil, missingPool("or use --all", list)
	}
	if err != nil {
		return nil, nil, err
	}
	known := namesOf(list)
	if all {
		return known, list, nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, nil, unknownPool(name, known)
		}
	}
	return names, list, nil
}

// setDrained drains pools, or undoes that.
func (c *client) setDrained(ctx context.Context, names []string, drained bool) error {
	method := http.MethodPost
	if !drained {
		method = http.MethodDelete
	}
	var errs []error
	for _, name := range names {
		if err := c.call(ctx, method, poolPath(name, "drain"), nil, nil); err != nil {
			errs = append(errs, fmt.Errorf("pool %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

const (
	// idlePoll is the time between two looks at a pool that is drained.
	idlePoll = 100 * time.Millisecond
	// idleFor is how long a drained pool must be without a request: a balancer notices
	// only by its next health check. Longer than the interval of such checks.
	idleFor = time.Second
)

// waitIdle waits until the pools have had no request for idleFor. The error says which
// requests are left after the limit, and what happens to the pool.
func (c *client) waitIdle(ctx context.Context, names []string, limit time.Duration, outcome string) error {
	start, quiet := time.Now(), min(idleFor, limit)
	idleSince := start
	for {
		left := ""
		for _, name := range names {
			p, err := c.pool(ctx, name)
			if err != nil {
				return err
			}
			if n := p.open(); n > 0 {
				left = fmt.Sprintf("pool %s still has %s after %v: %s; see `caddy php-pool top %s`, or wait longer",
					name, human.Plural(n, "request"), limit, outcome, name)
			}
		}
		now := time.Now()
		switch {
		case left != "":
			idleSince = now
		case now.Sub(idleSince) >= quiet:
			return nil
		}
		if now.Sub(start) > limit+quiet {
			if left == "" {
				left = fmt.Sprintf("%s: requests still come after %v: does the balancer ask for php_pool_ping?", poolList(names), limit)
			}
			return errors.New(left)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(idlePoll):
		}
	}
}

// open returns the number of requests that the pool has at the moment. Scripts that run on
// after their response count too.
func (p *poolInfo) open() int {
	return max(int(p.Requests.Open), p.Workers.Busy+p.Workers.Draining+p.Queue.Length)
}
