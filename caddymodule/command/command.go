package command

import (
	"context"
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// Planner says which pools a config in Caddy's JSON would have; without one,
// which pool a php_pool without options would be.
type Planner func(ctx context.Context, config []byte) ([]doctor.Pool, error)

// Register adds `caddy php-pool` to Caddy's commands. Call it in an init
// function.
func Register(plan Planner) {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "php-pool",
		Usage: "<command> [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Shows and steers the PHP workers of a running Caddy",
		Long: `
Shows and steers the pools of php-cgi workers of a running Caddy through its
admin API, and finds out what is wrong with PHP on this machine.

The admin API is looked for as 'caddy reload' does: at --address if it is given,
else where the config of --config has it, else where a Caddyfile in the current
directory has it, else at Caddy's default address.`,
		CobraFunc: func(cmd *cobra.Command) { addCommands(cmd, plan) },
	})
}

// addCommands makes of a command the parent of ours.
func addCommands(cmd *cobra.Command, plan Planner) {
	flags := cmd.PersistentFlags()
	flags.StringP("config", "c", "", "Configuration file that names the admin address, if --address is not used")
	flags.StringP("adapter", "a", "", "Name of config adapter to apply (when --config is used)")
	flags.String("address", "", "The address to use to reach the admin API endpoint, if not the default")
	cmd.RunE = runE(func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("there is no command php-pool %s: see caddy php-pool --help", args[0])
		}
		return cmd.Help()
	})
	cmd.AddCommand(statusCommand(), topCommand(), backtraceCommand(), opcacheCommand(), restartCommand(), scaleCommand(),
		recycleCommand(), doctorCommand(plan))
}

// runE makes a function the body of a command. Errors are shown as Caddy shows
// those of its own commands.
func runE(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd, args)
		if errors.Is(err, errReported) {
			cmd.SilenceErrors = true
			return err
		}
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
			if err != nil {
				return 1, err
			}
			return 0, nil
		})(cmd, args)
	}
}

// errReported makes the exit code 1 where everything has been said.
var errReported = errors.New("there are problems")

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [<pool>] [--json]",
		Short: "Shows the pools, and what is wrong with them",
		Long: `
Shows a table of the pools, or one pool with its workers, and below it what is
wrong: scripts that are quarantined, workers that crashed or cannot be started,
requests that wait or hang, a pool that is too small, an OPcache that is full.

--json prints what the admin API answers.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().Bool("json", false, "Print the admin API's answer")
	cmd.RunE = runE(runStatus)
	return cmd
}

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top [<pool>] [--once] [--sort seconds|cpu|memory|requests] [--interval <duration>]",
		Short: "Shows live what the workers do",
		Long: `
Shows the workers of all pools, one on a line: what they run and for how long,
processor time, memory. Keys: s, c, m and r sort by seconds, CPU, memory and
requests; p shows the next pool alone; arrows scroll; q quits.

Where the output is not a terminal, or with --once, it is one table.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().Bool("once", false, "Print one table and quit")
	cmd.Flags().String("sort", string(bySeconds), "What comes first: most seconds, cpu, memory or requests")
	cmd.Flags().Duration("interval", defaultInterval, "Time between two looks")
	cmd.RunE = runE(runTop)
	return cmd
}

func backtraceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backtrace [<pool>...]",
		Short: "Shows where the scripts are that run now",
		Long: `
Shows for each worker that runs a script, of the pools that are named or of all,
the calls in which the script is, the innermost first, with file and line, and
what its process waits for. The one that has run longest comes first.

It reads the workers' memory and does not stop them. Where that cannot be had
(elsewhere than on Linux, in some containers) it says why.`,
	}
	cmd.RunE = runE(runBacktrace)
	return cmd
}

func opcacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "opcache [<pool>...] [--reset]",
		Short: "Shows how full OPcache is, or empties it",
		Long: `
Shows the OPcache of the pools that are named, or of all: whether it is full, the
memory and the places for keys that are taken, how many lookups found what they
looked for, and how often it was emptied for want of room. With --reset it is
emptied.`,
	}
	cmd.Flags().Bool("reset", false, "Empty it; the pools have to be named")
	cmd.RunE = runE(runOPcache)
	return cmd
}

func restartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart <pool>...|--all",
		Short: "Replaces the workers of pools by new ones, without losing a request",
		Long: `
Starts a new generation of workers, from php-cgi and its ini files as they are
now, and lets the old one finish its requests. When a new one cannot be started
the old one goes on, and the exit code is 1.`,
	}
	cmd.Flags().Bool("all", false, "Restart all pools")
	cmd.RunE = runE(runRestart)
	return cmd
}

func scaleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale <pool> [--max <n>] [--min <n>]",
		Short: "Gives a pool another size, until the next config is loaded",
		Long: `
Changes max_workers and min_workers of a running pool; of a static pool --max is
the number of workers. The next config that is loaded has its own size again.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().Int("max", 0, "The most workers")
	cmd.Flags().Int("min", 0, "The fewest workers")
	cmd.RunE = runE(runScale)
	return cmd
}

func recycleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recycle <pool> <worker>... [--force]",
		Short: "Replaces single workers",
		Long: `
Replaces workers, by the ids that 'status <pool>' and 'top' show, each after the
request that it runs; with --force at once, which ends that request with 502.`,
		Args: cobra.MinimumNArgs(2),
	}
	cmd.Flags().Bool("force", false, "Do not wait for the request that the worker runs")
	cmd.RunE = runE(runRecycle)
	return cmd
}

func doctorCommand(plan Planner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--json] [-v]",
		Short: "Finds out what is wrong with PHP here, and what to do about it",
		Long: `
Looks at every php-cgi on this machine, asks it what it is, starts it as a
worker for a moment, and looks at its settings and at the system. With a config
it does so for the pools of that config; if a Caddy runs, it looks at the pools
in it too. It changes nothing.

Run it as the user that Caddy runs as. The exit code is 1 if there is a problem.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Bool("json", false, "Print the report as JSON")
	cmd.Flags().BoolP("verbose", "v", false, "List extensions and ini files too")
	cmd.RunE = runE(func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, plan) })
	return cmd
}
