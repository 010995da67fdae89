package serve

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Command returns the command `caddy php-pool serve`. Its flags are those of
// FrankenPHP's command php-server (https://frankenphp.dev/docs/), and a few more.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "serve"}
	SetUp(cmd)
	return cmd
}

// SetUp makes cmd the command, with the name that it has. It is a
// [caddycmd.Command.CobraFunc].
func SetUp(cmd *cobra.Command) {
	cmd.Use += " [<dir>] [--domain <name>] [--listen <address>] [--worker <file>[,<num>]]..."
	cmd.Short = "Serves a directory with PHP"
	cmd.Long = `
Serves the PHP application or the scripts in a directory: in the current one, or in
its directory public, web, pub, webroot or htdocs if that has an index.php.

It is made for development: the address is http://localhost:8080, or the next port
that is free, for this machine only. The browser shows PHP's errors and follows your
edits, and requests that take longer than 2 seconds are logged with a
backtrace. With --production none of this holds, and port 80 is open to all.

With --domain Caddy gets a certificate: for localhost and names that end with
.localhost from Caddy's local CA, else from a public one.

--envfile sets the variables in a file for Caddy and for PHP's getenv, those that are
not set yet. Applications that read .env themselves do not need it.

--print prints the Caddyfile that it runs, to start your configuration with.`
	cmd.Example = `  caddy php-pool serve
  caddy php-pool serve --open
  caddy php-pool serve ~/src/shop --php 8.3 --envfile ~/src/shop/.env
  caddy php-pool serve --worker public/index.php,4 --watch
  caddy php-pool serve --domain example.com --production --print > Caddyfile`
	cmd.Args = cobra.MaximumNArgs(1)
	flags := cmd.Flags()
	flags.StringP("domain", "d", "", "Serve this domain `name` by HTTPS")
	flags.StringP("root", "r", "", "The `dir` to serve, as it is")
	flags.StringP("listen", "l", "", "The `address` to listen on, such as :8000 or 127.0.0.1:8000")
	flags.StringArrayP("worker", "w", nil, "A worker script, with the number of workers after a comma: `file[,num]`")
	flags.StringArray("watch", nil, "Start worker scripts again when a file changes that matches this `pattern`")
	flags.Lookup("watch").NoOptDefVal = watchDefault
	flags.BoolP("access-log", "a", false, "Log requests")
	flags.BoolP("debug", "v", false, "Log what Caddy and php_pool do")
	flags.Bool("no-compress", false, "Do not compress responses")
	flags.String("php", "", "The `version` of PHP, such as 8.3, or the path of php-cgi")
	flags.Bool("production", false, "Use production settings")
	flags.StringSlice("envfile", nil, "A `file` with environment variables, as for caddy run; may be repeated")
	flags.Bool("open", false, "Open the page in a browser once it responds")
	flags.Bool("print", false, "Print the Caddyfile, and exit")
	flags.BoolP("mercure", "m", false, "Not available: php_pool has no Mercure hub")
	if err := flags.MarkHidden("mercure"); err != nil {
		panic(err) // the flag does not exist
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
			if err := run(cmd, args); err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			return caddy.ExitCodeSuccess, nil
		})(cmd, args)
	}
}

// run prints the Caddyfile, or serves until a signal stops the process.
func run(cmd *cobra.Command, args []string) error {
	s, err := fromFlags(cmd.Flags(), args)
	if err != nil {
		return err
	}
	if s.onlyPrint {
		text, err := s.caddyfile()
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	if err := start(s); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "\n%s\nStop it with Ctrl-C.\n\n", s.summary())
	if s.open {
		if err := openBrowser(cmd.Context(), s.url()); err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	}
	select {}
}
