package command

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// runRestart restarts the pools that are named. All of them at once have to be
// asked for: a name that is forgotten should not restart a machine's every site.
func runRestart(cmd *cobra.Command, names []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	list, err := c.pools(cmd.Context())
	if err != nil {
		return err
	}
	generations, known := map[string]int{}, namesOf(list)
	for i := range list {
		generations[list[i].Name] = list[i].Generation
	}
	all, _ := cmd.Flags().GetBool("all")
	switch {
	case all && len(names) > 0:
		return errors.New("--all and names of pools exclude each other: give one of both")
	case all:
		names = known
	case len(names) == 0:
		return fmt.Errorf("which pool? Name it, or write --all; there is %s", strings.Join(known, ", "))
	}
	for _, name := range names {
		if _, ok := generations[name]; !ok {
			return unknownPool(name, known)
		}
	}
	var errs []error
	for _, name := range names {
		start := time.Now()
		var p poolInfo
		if err := c.call(cmd.Context(), http.MethodPost, poolPath(name, "restart"), nil, &p); err != nil {
			errs = append(errs, fmt.Errorf("pool %s goes on with generation %d: %w", name, generations[name], err))
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "pool %s: generation %d serves, after %d; that took %v\n", name, p.Generation, generations[name],
			time.Since(start).Round(time.Millisecond))
	}
	return errors.Join(errs...)
}

func runScale(cmd *cobra.Command, args []string) error {
	var size scaleRequest
	for name, to := range map[string]**int{"max": &size.MaxWorkers, "min": &size.MinWorkers} {
		if cmd.Flags().Changed(name) {
			n, err := cmd.Flags().GetInt(name)
			if err != nil {
				return err
			}
			*to = &n
		}
	}
	if size == (scaleRequest{}) {
		return errors.New("neither --max nor --min is given: give one")
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
	text := fmt.Sprintf("pool %s: at most %s", name, count(p.Workers.Max, "worker"))
	if size.MinWorkers != nil {
		text += fmt.Sprintf(", at least %d", *size.MinWorkers)
	}
	if p.NewGeneration {
		text += fmt.Sprintf("; generation %d serves, since the one before had no room for so many", p.Generation)
	}
	fmt.Fprintln(cmd.OutOrStdout(), text+"; this holds until the next config is loaded")
	return nil
}

func runRecycle(cmd *cobra.Command, args []string) error {
	name, ids := args[0], args[1:]
	for _, id := range ids {
		if _, err := strconv.ParseUint(id, 10, 64); err != nil {
			return fmt.Errorf("%s is no worker's id: write the number that `caddy php-pool status %s` shows", id, name)
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
