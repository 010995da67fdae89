package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// addressFlag adds --address to a command that works on several machines.
func addressFlag(cmd *cobra.Command) {
	cmd.Flags().StringArray("address", nil, "The admin address of a machine; may be repeated")
}

// machines are the Caddys that a command works on, in the order of --address.
type machines []*client

// responseLimit is how long a machine may take for a response if there are several, so that
// one whose network drops packets does not hide the others.
const responseLimit = 5 * time.Second

// machinesOf returns the machines of --address, or the one that other commands use.
func machinesOf(cmd *cobra.Command) (machines, error) {
	addresses, _ := cmd.Flags().GetStringArray("address")
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if len(addresses) <= 1 {
		c, err := findClient(strings.Join(addresses, ""), config, adapter) // "" without --address
		return machines{c}, err
	}
	var list machines
	for i, address := range addresses {
		if address == "" || slices.Contains(addresses[:i], address) {
			return nil, fmt.Errorf("--address %q: give the admin address of each machine once", address)
		}
		list = append(list, &client{address: address, limit: responseLimit})
	}
	return list, nil
}

// each calls f for all machines at the same time. The error has those of all machines.
func (m machines) each(f func(i int, c *client) error) error {
	errs := make([]error, len(m))
	var calls sync.WaitGroup
	for i, c := range m {
		calls.Go(func() { errs[i] = m.named(c, f(i, c)) })
	}
	calls.Wait()
	return errors.Join(errs...)
}

// named adds the address of a machine to its error, if there are several machines.
func (m machines) named(c *client, err error) error {
	if _, unreachable := errors.AsType[*unreachableError](err); err == nil || len(m) == 1 || unreachable {
		return err // an unreachableError has the address
	}
	return fmt.Errorf("%s: %w", c.address, err)
}

// label begins the lines about a machine, if there are several.
func (m machines) label(c *client) string {
	if len(m) == 1 {
		return ""
	}
	return c.address + ": "
}

// selection has the pools that a command changes on one machine.
type selection struct {
	names []string   // of the pools to change
	all   []poolInfo // of the machine
}

// selectPools does [client.selectPools] on all machines. After an error nothing must be
// changed on any.
func (m machines) selectPools(ctx context.Context, names []string, all bool) ([]selection, error) {
	list := make([]selection, len(m))
	return list, m.each(func(i int, c *client) (err error) {
		list[i].names, list[i].all, err = c.selectPools(ctx, names, all)
		return err
	})
}

// hostState is the state of one of several machines: its pools, or why they are not known.
type hostState struct {
	host  string
	pools []poolInfo
	err   error
}

// hostError is the error of a machine in its row of a table: without the address, which the row
// has, and without advice for a Caddy on this machine.
func hostError(err error) string {
	if e, ok := errors.AsType[*unreachableError](err); ok {
		return "no Caddy responds: " + e.err.Error()
	}
	return err.Error()
}

// keyedJSON returns one object with the response or the error of each machine.
func (m machines) keyedJSON(responses []json.RawMessage, errs []error) ([]byte, error) {
	object := map[string]any{}
	for i, c := range m {
		object[c.address] = responses[i]
		if errs[i] != nil {
			object[c.address] = map[string]string{"error": hostError(errs[i])}
		}
	}
	return json.Marshal(object)
}
