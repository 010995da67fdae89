package command

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// runRestart restarts pools, on one machine after the other. To restart all of them
// requires --all, so that a forgotten name does not restart every site of the machine.
func runRestart(cmd *cobra.Command, names []string) error {
	all, _ := cmd.Flags().GetBool("all")
	machines, err := machinesOf(cmd)
	if err != nil {
		return err
	}
	selected, err := machines.selectPools(cmd.Context(), names, all)
	if err != nil {
		return err
	}
	for i, c := range machines {
		if err := c.restart(cmd, selected[i], machines.label(c)); err != nil {
			return machines.named(c, err)
		}
	}
	return nil
}

// restart restarts pools of one machine.
func (c *client) restart(cmd *cobra.Command, selected selection, label string) error {
	generations := map[string]int{}
	for i := range selected.all {
		generations[selected.all[i].Name] = selected.all[i].Generation
	}
	var errs []error
	for _, name := range selected.names {
		start := time.Now()
		var p poolInfo
		if err := c.call(cmd.Context(), http.MethodPost, poolPath(name, "restart"), nil, &p); err != nil {
			errs = append(errs, fmt.Errorf("pool %s keeps generation %d: %w", name, generations[name], err))
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%spool %s: generation %d has replaced generation %d after %v\n", label, name, p.Generation,
			generations[name], time.Since(start).Round(time.Millisecond))
	}
	return errors.Join(errs...)
}

// runScale changes the size of a pool.
func runScale(cmd *cobra.Command, args []string) error {
	var size scaleRequest
	for name, field := range map[string]**int{"max": &size.MaxWorkers, "min": &size.MinWorkers} {
		if cmd.Flags().Changed(name) {
			n, err := cmd.Flags().GetInt(name)
			if err != nil {
				return err
			}
			*field = &n
		}
	}
	if size == (scaleRequest{}) {
		return errors.New("--max and --min are missing: set at least one")
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	name := args[0]
	var p poolInfo
	err = c.call(cmd.Context(), http.MethodPost, poolPath(name, "scale"), size, &p)
	if err := c.withPoolNames(cmd.Context(), name, err); err != nil {
		return err
	}
	text := fmt.Sprintf("pool %s: at most %s", name, human.Plural(p.Workers.Max, "worker"))
	if size.MinWorkers != nil {
		text += fmt.Sprintf(", at least %d", *size.MinWorkers)
	}
	if p.NewGeneration {
		text += fmt.Sprintf("; started generation %d, because the previous one had too few slots", p.Generation)
	}
	fmt.Fprintln(cmd.OutOrStdout(), text+"; valid until the next config is loaded")
	return nil
}

// runRecycle replaces single workers.
func runRecycle(cmd *cobra.Command, args []string) error {
	name, ids := args[0], args[1:]
	for _, id := range ids {
		if _, err := strconv.ParseUint(id, 10, 64); err != nil {
			return fmt.Errorf("invalid worker ID %q: write a number that `caddy php-pool status %s` shows", id, name)
		}
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	query, when := "", "after its request"
	if force, _ := cmd.Flags().GetBool("force"); force {
		query, when = "?force", "now"
	}
	var errs []error
	for _, id := range ids {
		err := c.call(cmd.Context(), http.MethodDelete, poolPath(name, "workers", id)+query, nil, nil)
		if err = c.withPoolNames(cmd.Context(), name, err); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "pool %s: worker %s is replaced %s\n", name, id, when)
	}
	return errors.Join(errs...)
}
