package command

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// runBacktrace prints the PHP backtraces of the busy workers.
func runBacktrace(cmd *cobra.Command, args []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	names := args
	if len(names) == 0 {
		list, err := c.pools(cmd.Context())
		if err != nil {
			return err
		}
		for i := range list {
			if w := list[i].Workers; w.Busy+w.Draining > 0 {
				names = append(names, list[i].Name)
			}
		}
	}
	var all []runningWorker
	for _, name := range names {
		list, err := c.running(cmd.Context(), name)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	_, err = cmd.OutOrStdout().Write(backtraceText(all))
	return err
}

// runningWorker is a worker that runs a script, with the name of its pool.
type runningWorker struct {
	pool string
	workerInfo
}

// running returns the busy workers of a pool with their backtraces.
func (c *client) running(ctx context.Context, name string) ([]runningWorker, error) {
	var list []workerInfo
	err := c.call(ctx, http.MethodGet, poolPath(name, "workers"), nil, &list)
	if err := c.withPoolNames(ctx, name, err); err != nil {
		return nil, err
	}
	var busy []runningWorker
	for _, w := range list {
		if w.Request != nil {
			busy = append(busy, runningWorker{name, w})
		}
	}
	return busy, nil
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
