package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// runStatus prints the pools and their problems, or the JSON of the admin API.
func runStatus(cmd *cobra.Command, args []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	if ready, _ := cmd.Flags().GetBool("ready"); ready {
		return c.checkReady(cmd.Context(), cmd.OutOrStdout(), args)
	}
	path := poolsPath
	if len(args) > 0 {
		path = poolPath(args[0])
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		var response json.RawMessage
		err := c.call(cmd.Context(), http.MethodGet, path, nil, &response)
		if len(args) > 0 {
			err = c.withPoolNames(cmd.Context(), args[0], err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), string(bytes.TrimSpace(response)))
		return err
	}
	list, err := c.poolsWithWorkers(cmd.Context(), args)
	if err != nil {
		return err
	}
	c.withOPcache(cmd.Context(), list)
	_, err = cmd.OutOrStdout().Write(statusText(list, len(args) > 0))
	return err
}

// checkReady reports whether the given pools, or all, can serve requests and want to:
// that is the response of their ping.
func (c *client) checkReady(ctx context.Context, out io.Writer, names []string) error {
	names, _, err := c.selectPools(ctx, names, len(names) == 0)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no pools: the config of this Caddy has no php_pool")
	}
	var errs []error
	for _, name := range names {
		if err := c.call(ctx, http.MethodGet, poolPath(name, "ping"), nil, nil); err != nil {
			errs = append(errs, fmt.Errorf("pool %s is not ready: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: ready\n", poolList(names))
	return err
}

// poolsWithWorkers returns all pools, or the given one, with their workers.
func (c *client) poolsWithWorkers(ctx context.Context, names []string) ([]poolInfo, error) {
	if len(names) > 0 {
		p, err := c.pool(ctx, names[0])
		return []poolInfo{p}, err
	}
	list, err := c.pools(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Workers.Total == 0 {
			continue
		}
		// The pool may have been removed in between: then keep the first response.
		if p, err := c.pool(ctx, list[i].Name); err == nil {
			list[i] = p
		}
	}
	return list, nil
}

// withOPcache adds the OPcache of the pools that have workers. It ignores errors:
// the opcache command reports them.
func (c *client) withOPcache(ctx context.Context, list []poolInfo) {
	for i := range list {
		if list[i].Workers.Total == 0 {
			continue
		}
		if o, err := c.opcache(ctx, list[i].Name); err == nil {
			list[i].opcache = &o
		}
	}
}

// statusText formats the table of pools, optionally a table of their workers, and
// the problems. A pool's problems with the same remedy show it once.
func statusText(list []poolInfo, workers bool) []byte {
	if len(list) == 0 {
		return []byte("no pools: the config of this Caddy has no php_pool\n")
	}
	var b bytes.Buffer
	write := func(t *table) {
		for _, line := range t.lines() {
			b.WriteString(line + "\n")
		}
	}
	write(poolTable(list))
	if workers {
		b.WriteByte('\n')
		rows := rowsOf(list, nil)
		sortRows(rows, bySeconds)
		write(workerTable(rows, false))
	}
	for i := range list {
		shown := map[string]bool{"": true} // remedies
		for _, f := range diagnose(&list[i]) {
			fmt.Fprintf(&b, "\n%s: %s\n", doctor.Printable(list[i].Name), doctor.Printable(f.Summary))
			if !shown[f.Remedy] {
				fmt.Fprintf(&b, "  → %s\n", doctor.Printable(f.Remedy))
			}
			shown[f.Remedy] = true
		}
	}
	return b.Bytes()
}

// poolTable returns the table of pools.
func poolTable(list []poolInfo) *table {
	t := &table{head: []column{
		left("POOL"), left("PHP"), left("MANAGER"), right("BUSY"), right("IDLE"), right("MAX"), right("QUEUE"),
		right("REQUESTS"), right("FAILED"), right("SLOW"), right("MASTER EXITS"), right("MEMORY"),
	}}
	for i := range list {
		p := &list[i]
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		t.add(p.Name, p.PHP.Version, p.Manager, strconv.Itoa(p.Workers.Busy+p.Workers.Draining), strconv.Itoa(p.Workers.Idle),
			strconv.Itoa(p.Workers.Max), strconv.Itoa(p.Queue.Length), number(p.Requests.Total), number(p.Requests.Failed),
			number(p.Requests.Slow), number(p.MasterExits), memoryText(p.memory()))
	}
	return t
}
