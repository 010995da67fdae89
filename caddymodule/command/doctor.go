package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/internal/human"
)

// adminTimeout is how long doctor waits for a running Caddy, which is optional.
const adminTimeout = 5 * time.Second

// runDoctor checks PHP, the config and a running Caddy, and prints a report.
func runDoctor(cmd *cobra.Command, plan Planner) error {
	ctx := cmd.Context()
	var config []byte
	var configSubject doctor.Subject
	c, err := newClient(cmd)
	if err == nil {
		config = c.config
	} else {
		configSubject = configProblem("", err)
	}
	pools, err := plan(ctx, config)
	switch {
	case err == nil && config != nil:
		configSubject = c.checkConfig(pools)
	case err != nil && config != nil:
		configSubject = configProblem(c.file, err)
		pools, err = plan(ctx, nil)
	}
	if err != nil {
		return err
	}
	report := doctor.Run(ctx, pools)
	report.Add(configSubject)
	if c != nil {
		c.checkRunning(ctx, report)
	}
	return printReport(cmd, report)
}

// printReport prints a report as text or JSON. It returns errReported if there are
// problems.
func printReport(cmd *cobra.Command, report *doctor.Report) error {
	asJSON, _ := cmd.Flags().GetBool("json")
	verbose, _ := cmd.Flags().GetBool("verbose")
	var err error
	if asJSON {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "\t")
		err = encoder.Encode(report)
	} else {
		err = report.Write(cmd.OutOrStdout(), verbose)
	}
	if err == nil && report.Problems > 0 {
		err = errReported
	}
	return err
}

// configProblem reports a config that cannot be read.
func configProblem(file string, err error) doctor.Subject {
	return doctor.Subject{Kind: "config", Name: file, Findings: []doctor.Finding{{Level: doctor.Problem, Summary: err.Error()}}}
}

// checkConfig checks the parts of a config other than the options of its pools.
func (c *client) checkConfig(pools []doctor.Pool) doctor.Subject {
	s := doctor.Subject{Kind: "config", Name: c.file}
	add := func(level doctor.Level, remedy, format string, args ...any) {
		s.Findings = append(s.Findings, doctor.Finding{Level: level, Summary: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if len(pools) == 0 {
		add(doctor.Note, "write php_pool in each site that runs PHP", "it has no php_pool")
		return s
	}
	add(doctor.OK, "", "it uses %s", human.Plural(len(pools), "pool"))
	if c.adminOff() {
		return s
	}
	users := map[string]bool{}
	for i := range pools {
		users[pools[i].User] = true
	}
	s.Findings = append(s.Findings, c.checkAdmin(users)...)
	return s
}

// checkAdmin reports an admin endpoint that scripts of other users than Caddy's can
// connect to, and a socket in a directory that does not exist. The users are those of
// the pools; "" is Caddy's own.
func (c *client) checkAdmin(users map[string]bool) []doctor.Finding {
	address, err := caddy.ParseNetworkAddress(c.address)
	if err != nil || address.IsFdNetwork() {
		return nil
	}
	if address.IsUnixNetwork() {
		socket, _, _ := strings.Cut(address.Host, "|")
		if _, err := os.Stat(filepath.Dir(socket)); errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(socket, "@") {
			return []doctor.Finding{{
				Level:   doctor.Note,
				Summary: fmt.Sprintf("the directory of the admin socket %s does not exist, and Caddy does not create it", socket),
				Remedy:  doctor.SocketDirRemedy(),
			}}
		}
		return nil
	}
	delete(users, "")
	if len(users) == 0 {
		return nil
	}
	return []doctor.Finding{{
		Level: doctor.Note,
		Summary: fmt.Sprintf("the admin endpoint listens at %s, where PHP scripts can load another config unless Caddy is root, although PHP runs as another user than Caddy (%s)",
			c.address, strings.Join(slices.Sorted(maps.Keys(users)), ", ")),
		Remedy: doctor.AdminRemedy(c.address),
	}}
}

// checkRunning checks the pools of a running Caddy, if there is one.
func (c *client) checkRunning(ctx context.Context, report *doctor.Report) {
	ctx, cancel := context.WithTimeoutCause(ctx, adminTimeout, fmt.Errorf("no response within %v", adminTimeout))
	defer cancel()
	list, err := c.poolsWithWorkers(ctx, nil)
	var unreachable *unreachableError
	switch {
	case errors.As(err, &unreachable):
		report.Add(doctor.Subject{Kind: "caddy", Findings: []doctor.Finding{{
			Level: doctor.Note, Summary: fmt.Sprintf("no Caddy responds at %s, so running pools were not checked", c.address),
			Remedy: "if Caddy is running, give its admin address with --address or its config with --config",
		}}})
		return
	case err != nil:
		report.Add(doctor.Subject{Kind: "caddy", Name: "at " + c.address, Findings: []doctor.Finding{{Level: doctor.Problem, Summary: err.Error()}}})
		return
	}
	if c.config == nil { // otherwise checkConfig has checked it
		users := map[string]bool{}
		for i := range list {
			users[list[i].PHP.User] = true
		}
		report.Add(doctor.Subject{Kind: "caddy", Name: "at " + c.address, Findings: c.checkAdmin(users)})
	}
	c.withOPcache(ctx, list)
	for i := range list {
		p := &list[i]
		s := doctor.Subject{Kind: "running pool", Name: p.Name, Findings: []doctor.Finding{{
			Level: doctor.OK, Summary: fmt.Sprintf("PHP %s, %s of at most %d, %s served", p.PHP.Version, human.Plural(p.Workers.Total, "worker"),
				p.Workers.Max, human.Plural(p.Requests.Total, "request")),
		}}}
		s.Findings = append(s.Findings, diagnose(p)...)
		report.Add(s)
	}
	if len(list) == 0 {
		report.Add(doctor.Subject{Kind: "caddy", Name: "at " + c.address, Findings: []doctor.Finding{{
			Level: doctor.Note, Summary: "it has no pools", Remedy: "write php_pool in its config and load it (caddy reload)",
		}}})
	}
}
