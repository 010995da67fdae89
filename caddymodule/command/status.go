package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// runStatus prints the pools and their problems, or the JSON of the admin API.
func runStatus(cmd *cobra.Command, args []string) error {
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	if ready, _ := cmd.Flags().GetBool("ready"); ready {
		return machines.checkReady(cmd, args)
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return machines.statusJSON(cmd, args)
	}
	states := make([]hostState, len(machines))
	failed := machines.each(func(i int, c *client) error {
		list, err := c.poolsWithWorkers(cmd.Context(), args)
		if err == nil {
			c.withOPcache(cmd.Context(), list)
		}
		states[i] = hostState{c.address, list, err}
		return err
	})
	if len(machines) == 1 {
		if failed != nil {
			return failed
		}
		states[0].host = ""
	}
	if _, err = cmd.OutOrStdout().Write(statusText(states, len(args) > 0)); err == nil && failed != nil {
		return errReported // in the row of the machine
	}
	return err
}

// statusJSON prints the response of the admin API, of several machines as an object with their
// addresses as keys.
func (m machines) statusJSON(cmd *cobra.Command, args []string) error {
	path := poolsPath
	if len(args) > 0 {
		path = poolPath(args[0])
	}
	responses, errs := make([]json.RawMessage, len(m)), make([]error, len(m))
	failed := m.each(func(i int, c *client) error {
		errs[i] = c.call(cmd.Context(), http.MethodGet, path, nil, &responses[i])
		if len(args) > 0 {
			errs[i] = c.withPoolNames(cmd.Context(), args[0], errs[i])
		}
		return errs[i]
	})
	if len(m) == 1 {
		if failed == nil {
			_, failed = fmt.Fprintln(cmd.OutOrStdout(), string(bytes.TrimSpace(responses[0])))
		}
		return failed
	}
	text, err := m.keyedJSON(responses, errs)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(cmd.OutOrStdout(), string(text)); err == nil && failed != nil {
		return errReported
	}
	return err
}

// checkReady checks the machines, and prints which pools are ready.
func (m machines) checkReady(cmd *cobra.Command, names []string) error {
	ready := make([]string, len(m))
	failed := m.each(func(i int, c *client) (err error) {
		ready[i], err = c.checkReady(cmd.Context(), names)
		return err
	})
	for i, c := range m {
		if ready[i] == "" {
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s%s: ready\n", m.label(c), ready[i]); err != nil {
			return err
		}
	}
	return failed
}

// checkReady returns an error unless the given pools, or all, can serve requests and want
// to, which is the response of their ping; else a list of them.
func (c *client) checkReady(ctx context.Context, names []string) (string, error) {
	names, _, err := c.selectPools(ctx, names, len(names) == 0)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", errors.New("no pools: the config of this Caddy has no php_pool")
	}
	var errs []error
	for _, name := range names {
		if err := c.call(ctx, http.MethodGet, poolPath(name, "ping"), nil, nil); err != nil {
			errs = append(errs, fmt.Errorf("pool %s is not ready: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return poolList(names), nil
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
// the problems. A pool's problems with the same remedy show it once. The host is empty if
// there is one machine.
func statusText(states []hostState, workers bool) []byte {
	if len(states) == 1 && len(states[0].pools) == 0 {
		return []byte("no pools: the config of this Caddy has no php_pool\n")
	}
	var b bytes.Buffer
	write := func(t *table) {
		for _, line := range t.lines() {
			b.WriteString(line + "\n")
		}
	}
	write(poolTable(states))
	if workers {
		b.WriteByte('\n')
		var rows []row
		for _, s := range states {
			rows = append(rows, rowsOf(s.host, s.pools, nil)...)
		}
		sortRows(rows, bySeconds)
		write(workerTable(rows, len(states) > 1, false))
	}
	for _, s := range states {
		prefix := ""
		if s.host != "" {
			prefix = s.host + ": "
		}
		for i := range s.pools {
			shown := map[string]bool{"": true} // remedies
			for _, f := range diagnose(&s.pools[i]) {
				fmt.Fprintf(&b, "\n%s: %s\n", doctor.Printable(prefix+s.pools[i].Name), doctor.Printable(f.Summary))
				if !shown[f.Remedy] {
					fmt.Fprintf(&b, "  → %s\n", doctor.Printable(f.Remedy))
				}
				shown[f.Remedy] = true
			}
		}
	}
	return b.Bytes()
}

// poolTable returns the table of pools. With several machines it names them, and ends with the
// totals.
func poolTable(states []hostState) *table {
	several := len(states) > 1
	t := &table{}
	if several {
		t.head = []column{left("HOST")}
	}
	t.head = append(t.head, left("POOL"), left("PHP"), left("MANAGER"), right("BUSY"), right("IDLE"), right("MAX"), right("QUEUE"),
		right("REQUESTS"), right("FAILED"), right("SLOW"), right("MASTER EXITS"), right("MEMORY"))
	var total poolInfo
	add := func(host string, p *poolInfo) {
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		cells := []string{
			p.Name, p.PHP.Version, p.Manager, strconv.Itoa(p.Workers.Busy + p.Workers.Draining), strconv.Itoa(p.Workers.Idle),
			strconv.Itoa(p.Workers.Max), strconv.Itoa(p.Queue.Length), number(p.Requests.Total), number(p.Requests.Failed),
			number(p.Requests.Slow), number(p.MasterExits), memoryText(p.memory()),
		}
		if several {
			cells = slices.Insert(cells, 0, host)
		}
		t.add(cells...)
	}
	for _, s := range states {
		if s.err != nil {
			t.add(s.host, hostError(s.err))
		} else if len(s.pools) == 0 {
			t.add(s.host, "no pools")
		}
		for i := range s.pools {
			add(s.host, &s.pools[i])
			total.plus(&s.pools[i])
		}
	}
	if several {
		add("TOTAL", &total)
	}
	return t
}

// plus adds the numbers of another pool that tables show.
func (p *poolInfo) plus(other *poolInfo) {
	p.Workers.Busy += other.Workers.Busy + other.Workers.Draining
	p.Workers.Idle += other.Workers.Idle
	p.Workers.Max += other.Workers.Max
	p.Queue.Length += other.Queue.Length
	p.Requests.Total += other.Requests.Total
	p.Requests.Failed += other.Requests.Failed
	p.Requests.Slow += other.Requests.Slow
	p.MasterExits += other.MasterExits
	if n, known := other.memory(); known {
		sum, _ := p.memory()
		p.Memory = new(sum + n)
	}
}
