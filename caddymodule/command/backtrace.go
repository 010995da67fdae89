package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// runBacktrace prints the PHP backtraces of the busy workers. An error of one machine does not
// hide those of others.
func runBacktrace(cmd *cobra.Command, args []string) error {
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	found := make([][]runningWorker, len(machines))
	err = machines.each(func(i int, c *client) (err error) {
		found[i], err = c.allRunning(cmd.Context(), args, machines.label(c))
		return err
	})
	if all := slices.Concat(found...); err == nil || len(all) > 0 {
		_, writeErr := cmd.OutOrStdout().Write(backtraceText(all))
		err = errors.Join(err, writeErr)
	}
	return err
}

// allRunning returns the busy workers of these pools, by default of all.
func (c *client) allRunning(ctx context.Context, names []string, label string) ([]runningWorker, error) {
	if len(names) == 0 {
		list, err := c.pools(ctx)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if w := list[i].Workers; w.Busy+w.Draining > 0 {
				names = append(names, list[i].Name)
			}
		}
	}
	var all []runningWorker
	for _, name := range names {
		list, err := c.running(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, w := range list {
			all = append(all, runningWorker{label + name, w})
		}
	}
	return all, nil
}

// runningWorker is a worker that runs a script, with the names of its machine and its pool.
type runningWorker struct {
	pool string
	workerInfo
}

// running returns the busy workers of a pool with their backtraces.
func (c *client) running(ctx context.Context, name string) ([]workerInfo, error) {
	var list []workerInfo
	err := c.call(ctx, http.MethodGet, poolPath(name, "workers"), nil, &list)
	if err := c.withPoolNames(ctx, name, err); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(w workerInfo) bool { return w.Request == nil }), nil
}

// backtraceText formats backtraces, that of the longest running request first.
func backtraceText(workers []runningWorker) []byte {
	if len(workers) == 0 {
		return []byte("no worker is running a script\n")
	}
	slices.SortStableFunc(workers, func(a, b runningWorker) int { return cmp.Compare(b.Request.Duration, a.Request.Duration) })
	var b bytes.Buffer
	for i := range workers {
		w := &workers[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		line := func(format string, args ...any) {
			b.WriteString(doctor.Printable(fmt.Sprintf(format, args...)) + "\n")
		}
		line("%s: worker %d, pid %d, %s for %s s: %s %s", w.pool, w.ID, w.PID, w.State, secondsText(w.Request.Duration),
			w.Request.Method, w.Request.URI)
		for _, frame := range w.Backtrace {
			line("  %s", frame)
		}
		if len(w.Backtrace) == 0 {
			line("  %s", w.Request.Script)
		}
		if w.BlockedOn != "" {
			line("  now: %s", w.BlockedOn)
		}
		if w.BacktraceError != "" {
			line("  no backtrace: %s", w.BacktraceError)
		}
	}
	return b.Bytes()
}
