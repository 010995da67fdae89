package command

import (
	"context"
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// Planner returns the pools that a config, in Caddy's JSON, would have. For an
// empty config it returns the pool of a php_pool without options.
type Planner func(ctx context.Context, config []byte) ([]doctor.Pool, error)

// Register adds `caddy php-pool` to Caddy's commands, with further subcommands that
// start a Caddy. A nil command is left out. Call it in an init function.
func Register(plan Planner, starting ...*cobra.Command) {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "php-pool",
		Usage: "<command> [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Inspects and manages the php_pool workers of a running Caddy",
		Long: `
Inspects and manages the pools of php-cgi workers of a running Caddy through its
admin API, and diagnoses problems with PHP on this machine.

The address of the admin API is found as by 'caddy reload': from --address, else
from the config of --config, else from a Caddyfile in the current directory, else
it is Caddy's default address.`,
		CobraFunc: func(cmd *cobra.Command) {
			addCommands(cmd, plan)
			for _, c := range starting {
				if c != nil {
					cmd.AddCommand(c)
				}
			}
		},
	})
}

// addCommands adds the subcommands to cmd.
func addCommands(cmd *cobra.Command, plan Planner) {
	cmd.RunE = runE(func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command php-pool %s: see caddy php-pool --help", args[0])
		}
		return cmd.Help()
	})
	for _, c := range []*cobra.Command{
		statusCommand(), topCommand(), backtraceCommand(), opcacheCommand(), restartCommand(), scaleCommand(), recycleCommand(),
		drainCommand(), deployCommand(), doctorCommand(plan), importCommand(),
	} {
		flags := c.Flags()
		flags.StringP("config", "c", "", "Configuration file that names the admin address, if --address is not used")
		flags.StringP("adapter", "a", "", "Name of config adapter to apply (when --config is used)")
		if flags.Lookup("address") == nil {
			flags.String("address", "", "The address to use to reach the admin API endpoint, if not the default")
		}
		cmd.AddCommand(c)
	}
}

// runE turns a function into the RunE of a command, and makes Caddy print its
// errors as it prints other errors.
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

// errReported makes the exit code 1 after the problems have been printed.
var errReported = errors.New("there are problems")

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [<pool>] [--json|--ready] [--address <interface>]...",
		Short: "Shows the pools and their problems",
		Long: `
Shows a table of the pools, or one pool with its workers, and below it their
problems with remedies: quarantined scripts, workers that crashed or cannot be
started, requests that wait or hang, a pool that is too small, a full OPcache.

--json prints the response of the admin API.

--ready is for health checks, such as that of a container: the exit code is 1 if a
pool cannot serve requests, is drained, or if Caddy is being stopped, as with
php_pool_ping.

With several --address it shows the pools of all these machines and their totals. A
machine that does not respond has a row with its error, and the exit code is 1. --json
then prints an object with the response or the error of each address.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().Bool("json", false, "Print the response of the admin API")
	cmd.Flags().Bool("ready", false, "Only check that requests can be served")
	cmd.MarkFlagsMutuallyExclusive("json", "ready")
	addressFlag(cmd)
	cmd.RunE = runE(runStatus)
	return cmd
}

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top [<pool>] [--once] [--sort seconds|cpu|memory|requests] [--interval <duration>] [--address <interface>]...",
		Short: "Shows the workers live, with their requests, CPU time and memory",
		Long: `
Shows the workers of all pools, one per row: the request and its duration, CPU
time, memory. Keys: s, c, m and r sort by seconds, CPU, memory and requests; p
shows the next pool alone; the arrow keys scroll; q quits.

With --once, or if the output is not a terminal, prints one table.

With several --address it shows the workers of all these machines. One that does not
respond has a row with its error, until it responds again.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().Bool("once", false, "Print one table and quit")
	cmd.Flags().String("sort", string(bySeconds), "Sort by seconds, cpu, memory or requests, largest first")
	cmd.Flags().Duration("interval", defaultInterval, "Time between two updates")
	addressFlag(cmd)
	cmd.RunE = runE(runTop)
	return cmd
}

func backtraceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backtrace [<pool>...] [--address <interface>]...",
		Short: "Shows PHP backtraces of the running scripts",
		Long: `
Shows a PHP backtrace for each worker that runs a script, in the given pools or
in all: the active function calls, innermost first, with file and line, and what
the process waits for. The longest running request comes first.

It reads the memory of the workers without stopping them. Where this is not
possible (on systems other than Linux, in some containers) it says why. With several
--address it shows the scripts of all these machines.`,
	}
	addressFlag(cmd)
	cmd.RunE = runE(runBacktrace)
	return cmd
}

func opcacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "opcache [<pool>...] [--reset]",
		Short: "Shows how full OPcache is, or resets it",
		Long: `
Shows the OPcache of the given pools or of all: whether it is full, the memory
and keys in use, the hit rate, and how often OPcache restarted because it was
full. --reset empties it.`,
	}
	cmd.Flags().Bool("reset", false, "Empty the OPcache of the given pools")
	cmd.RunE = runE(runOPcache)
	return cmd
}

func restartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart <pool>...|--all [--address <interface>]...",
		Short: "Replaces all workers of pools without losing a request",
		Long: `
Starts a new generation of workers, with the current php-cgi and ini files, and
lets the old one finish its requests. If the new generation cannot be started,
the old one stays active and the exit code is 1.

With several --address it goes from one machine to the next, and stops after the first
with an error. If one of them does not respond at the beginning, it restarts nothing.`,
	}
	cmd.Flags().Bool("all", false, "Restart all pools")
	addressFlag(cmd)
	cmd.RunE = runE(runRestart)
	return cmd
}

func scaleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale <pool> [--max <n>] [--min <n>]",
		Short: "Changes the size of a pool until the next config is loaded",
		Long: `
Changes max_workers and min_workers of a running pool. For a static pool --max is
the number of workers. Loading a config restores the size of that config.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().Int("max", 0, "Maximum number of workers")
	cmd.Flags().Int("min", 0, "Minimum number of workers")
	cmd.RunE = runE(runScale)
	return cmd
}

func recycleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recycle <pool> <worker>... [--force]",
		Short: "Replaces single workers",
		Long: `
Replaces workers, by the IDs that 'status <pool>' and 'top' show, each after its
current request. --force replaces them at once: their requests get 502.`,
		Args: cobra.MinimumNArgs(2),
	}
	cmd.Flags().Bool("force", false, "Do not wait for the current request")
	cmd.RunE = runE(runRecycle)
	return cmd
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import [--caddyfile <path>|--sites[=<file>,...]] <file>...",
		Short: "Converts php-fpm's configuration to a Caddyfile",
		Long: `
Reads php-fpm's files as php-fpm does, and prints a Caddyfile with a pool for each
of its pools. Give it php-fpm.conf, which includes the others, or pool files; a
pattern in quotes is expanded. Each line of the files becomes an option, or a
comment that says why not. It changes no file.

--caddyfile prints that Caddyfile with these pools, and with php_pool instead of
each php_fastcgi whose address is that of a pool.

--sites adds the sites of nginx and Apache that pass PHP to these pools: their names,
root, index files and front controller. Everything else becomes a comment. By default
it reads the files of Debian, such as /etc/nginx/sites-enabled/*.

The exit code is 1 if the result lacks a line that may protect something, such as
chroot or auth_basic: standard error lists them.`,
		Example: `  caddy php-pool import /etc/php/8.2/fpm/php-fpm.conf >Caddyfile.new
  caddy php-pool import --caddyfile /etc/caddy/Caddyfile '/etc/php/8.2/fpm/pool.d/*.conf'
  caddy php-pool import --sites /etc/php/8.2/fpm/php-fpm.conf`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().String("caddyfile", "", "The Caddyfile whose php_fastcgi to replace")
	cmd.Flags().StringSlice("sites", nil, "Add the sites of nginx and Apache in these files")
	cmd.Flags().Lookup("sites").NoOptDefVal = debianSites
	cmd.RunE = runE(runImport)
	return cmd
}

func doctorCommand(plan Planner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--json] [-v]",
		Short: "Diagnoses problems with PHP on this machine, with remedies",
		Long: `
Checks every php-cgi on this machine, its settings, and the system, and starts
each php-cgi as a worker for a moment. With a config it checks php-cgi as the
pools of that config start it. If Caddy is running, it checks its pools too. It
changes nothing.

Run it as the user that Caddy runs as. The exit code is 1 if there is a problem.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Bool("json", false, "Print the report as JSON")
	cmd.Flags().BoolP("verbose", "v", false, "Also list extensions and ini files")
	cmd.RunE = runE(func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, plan) })
	return cmd
}
