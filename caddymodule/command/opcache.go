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

	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// runOPcache prints how full the OPcaches are, or resets them.
func runOPcache(cmd *cobra.Command, names []string) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	reset, _ := cmd.Flags().GetBool("reset")
	if len(names) == 0 {
		list, err := c.pools(ctx)
		if reset {
			return missingPool("", list)
		}
		if err != nil {
			return err
		}
		names = namesOf(list)
	}
	if reset {
		return c.resetOPcaches(cmd, names)
	}
	t := &table{head: []column{
		left("POOL"), left("OPCACHE"), right("USED"), right("WASTED"), right("SIZE"), right("HITS"), right("SCRIPTS"), right("KEYS"),
		right("MAX KEYS"), right("RESTARTS"), left("REMARK"),
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

// opcache returns the OPcache of a pool.
func (c *client) opcache(ctx context.Context, name string) (opcacheInfo, error) {
	var o opcacheInfo
	err := c.call(ctx, http.MethodGet, poolPath(name, "opcache"), nil, &o)
	return o, c.withPoolNames(ctx, name, err)
}

// resetOPcaches resets the OPcache of each pool.
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
		text := fmt.Sprintf("pool %s: OPcache is reset as soon as no request uses it", name)
		if response.Deferred > 0 {
			text += fmt.Sprintf("; %s will be replaced after the current request", human.Plural(response.Deferred, "busy worker"))
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
	}
	return errors.Join(errs...)
}

// state summarizes the OPcache in one word.
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

// restarts returns how often OPcache restarted because it was full.
func (o *opcacheInfo) restarts() int64 { return o.Restarts.OOM + o.Restarts.Hash }

// cells returns the row of the table after the name of the pool.
func (o *opcacheInfo) cells() []string {
	if !o.Available {
		return []string{o.state(), "-", "-", "-", "-", "-", "-", "-", "-", o.Reason}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	remark := o.Reason
	if o.Scope == "worker" {
		remark = strings.TrimPrefix(remark+"; of one worker", "; ")
	}
	return []string{
		o.state(), memoryText(o.Memory.Used, true), memoryText(o.Memory.Wasted, true), memoryText(o.Memory.Total, true),
		// Truncated, not rounded: 100% means that there was no miss.
		humanize.FtoaWithDigits(100*o.HitRate, 1) + "%",
		number(o.Scripts), number(o.Keys), number(o.MaxKeys), number(o.restarts()), remark,
	}
}

// fullReason returns the reason why OPcache is full, and the remedy.
func (o *opcacheInfo) fullReason() (reason, remedy string) {
	if o.Keys >= o.MaxKeys {
		return fmt.Sprintf("all %d keys are used, by %s", o.MaxKeys, human.Plural(o.Scripts, "script")), o.moreKeys()
	}
	return fmt.Sprintf("%s of %s are used, by %s", memoryText(o.Memory.Used+o.Memory.Wasted, true), memoryText(o.Memory.Total, true),
		human.Plural(o.Scripts, "script")), o.moreMemory()
}

// restartRemedy returns the remedy for the more frequent reason of restarts.
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
