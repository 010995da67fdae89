package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// runOPcache prints how full the OPcaches are, or empties them.
func runOPcache(cmd *cobra.Command, names []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	reset, _ := cmd.Flags().GetBool("reset")
	if len(names) == 0 {
		list, err := c.pools(ctx)
		if err != nil {
			return err
		}
		names = namesOf(list)
		if reset {
			return fmt.Errorf("the OPcache of which pool? Name it; there is %s", strings.Join(names, ", "))
		}
	}
	if reset {
		return c.resetOPcaches(cmd, names)
	}
	t := &table{head: []column{
		left("POOL"), left("OPCACHE"), right("USED"), right("WASTED"), right("OF"), right("HITS"), right("SCRIPTS"), right("KEYS"),
		right("OF"), right("EMPTIED"), left("REMARK"),
	}}
	for _, name := range names {
		o, err := c.opcache(ctx, name)
		if err != nil {
			return err
		}
		t.add(append([]string{name}, o.cells()...)...)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(t.lines(), "\n"))
	return err
}

// opcache asks for the OPcache of a pool.
func (c *client) opcache(ctx context.Context, name string) (opcacheInfo, error) {
	var o opcacheInfo
	err := c.call(ctx, http.MethodGet, poolPath(name, "opcache"), nil, &o)
	return o, c.withPoolNames(ctx, name, err)
}

// resetOPcaches empties those of the pools that are named.
func (c *client) resetOPcaches(cmd *cobra.Command, names []string) error {
	var errs []error
	for _, name := range names {
		var response struct {
			Reset    int `json:"workers_reset"`
			Deferred int `json:"deferred"`
		}
		err := c.call(cmd.Context(), http.MethodDelete, poolPath(name, "opcache"), nil, &response)
		if err := c.withPoolNames(cmd.Context(), name, err); err != nil {
			errs = append(errs, fmt.Errorf("pool %s: %w", name, err))
			continue
		}
		text := fmt.Sprintf("pool %s: OPcache is emptied when no request uses it any more", name)
		if response.Deferred > 0 {
			text += fmt.Sprintf("; %s will be replaced after the request", count(response.Deferred, "busy worker"))
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
	}
	return errors.Join(errs...)
}

// state is one word for it.
func (o *opcacheInfo) state() string {
	switch {
	case !o.Available:
		return "unavailable"
	case o.Full:
		return "full"
	case o.Restarts.Pending || o.Restarts.InProgress:
		return "restarting"
	}
	return "ok"
}

// restarts counts how often it emptied itself because it was full.
func (o *opcacheInfo) restarts() int64 { return o.Restarts.OOM + o.Restarts.Hash }

// cells are a line of the table, after the pool's name.
func (o *opcacheInfo) cells() []string {
	if !o.Available {
		return []string{o.state(), "-", "-", "-", "-", "-", "-", "-", "-", o.Reason}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	remark := o.Reason
	if o.Scope == "worker" {
		remark = strings.TrimPrefix(remark+"; that of one worker of several", "; ")
	}
	return []string{
		o.state(), memoryText(o.Memory.Used, true), memoryText(o.Memory.Wasted, true), memoryText(o.Memory.Total, true),
		// Cut, not rounded: 100% is when nothing ever missed.
		humanize.FtoaWithDigits(100*o.HitRate, 1) + "%",
		number(o.Scripts), number(o.Keys), number(o.MaxKeys), number(o.restarts()), remark,
	}
}

// fullReason says why a full OPcache is full, and what to do about it.
func (o *opcacheInfo) fullReason() (text, remedy string) {
	if o.Keys >= o.MaxKeys {
		return fmt.Sprintf("all %d places for keys are taken, by %s", o.MaxKeys, count(uint64(o.Scripts), "script")), o.moreKeys()
	}
	return fmt.Sprintf("%s of %s are taken, by %s", memoryText(o.Memory.Used+o.Memory.Wasted, true), memoryText(o.Memory.Total, true),
		count(uint64(o.Scripts), "script")), o.moreMemory()
}

// restartRemedy is what would have kept it from emptying itself.
func (o *opcacheInfo) restartRemedy() string {
	if o.Restarts.Hash > o.Restarts.OOM {
		return o.moreKeys()
	}
	return o.moreMemory()
}

func (o *opcacheInfo) moreKeys() string {
	return doubled("opcache.max_accelerated_files", o.Configuration.Files)
}

func (o *opcacheInfo) moreMemory() string {
	return doubled("opcache.memory_consumption", o.Configuration.Memory>>20)
}
