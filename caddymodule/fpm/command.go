//go:build unix

package fpm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// The exit codes of php-fpm (sapi/fpm/fpm/fpm.h), which are those of sysexits.h.
const (
	exitOK       = 0
	exitUsage    = 64
	exitSoftware = 70
	exitConfig   = 78
)

// Command returns the command `caddy php-pool fpm`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fpm [-y <php-fpm.conf>] [-F|-D] [-t] [-c <php.ini>] [-d <name>=<value>]...",
		Short: "Runs PHP instead of php-fpm, with its configuration",
		Long: `
Reads php-fpm.conf and its pool files, listens where they say, and serves FastCGI
instead of php-fpm, with php-cgi workers. Arguments and signals are those of
php-fpm:

  -y, --fpm-config <file>     php-fpm.conf. Default: that of this machine
  -F, --nodaemonize           Stay in the foreground
  -D, --daemonize             Run in the background, which is the default
  -t, --test                  Check the configuration; -tt also prints it as Caddy's JSON
  -c, --php-ini <path>        php.ini, or a directory with one
  -n, --no-php-ini            Use no ini files
  -d, --define <name>=<value> Set an ini setting
  -g, --pid <file>            The file for the process ID
  -p, --prefix <dir>          The directory of paths that are not absolute
  -R, --allow-to-run-as-root  Let pools without a user run as root
  -O, --force-stderr          Log to stderr instead of error_log, with -F
  -i, -m, -v                  Show phpinfo, the modules, the version

SIGUSR2 loads the configuration again, SIGUSR1 opens the log files again, SIGQUIT
stops after the running requests, SIGTERM and SIGINT stop at once.

The exit code is 78 if the configuration cannot be used.`,
		Example:            `  caddy php-pool fpm -F -y /etc/php/8.2/fpm/php-fpm.conf`,
		DisableFlagParsing: true,
	}
	cmd.SetHelpTemplate("{{.Long}}\n\nUsage:\n  {{.UseLine}}\n\nExample:\n{{.Example}}\n")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cmd.SilenceErrors = true // main has reported them
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
			code := main(cmd, args)
			if code == 1 { // Caddy's exit code 1 needs an error
				code = exitSoftware
			}
			return code, nil
		})(cmd, args)
	}
	return cmd
}

func main(cmd *cobra.Command, args []string) int {
	a, err := parseArguments(args)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return exitUsage
	}
	switch {
	case a.show == 'h':
		if err := cmd.Help(); err != nil {
			return exitSoftware
		}
		return exitOK
	case a.show != 0:
		return a.showPHP()
	case a.test > 0:
		return a.check()
	}
	if err := ownNotify(); err != nil {
		logf(levelError, "executing this program again: %v", err)
		return exitSoftware
	}
	return a.run()
}

// check checks the configuration, as php-fpm -t.
func (a *arguments) check() int {
	c, err := a.load()
	if err == nil {
		err = canLog(c.process.ErrorLog)
	}
	if err == nil {
		err = validate(c)
	}
	if err != nil {
		report(err)
		logf(levelError, "FPM initialization failed")
		return exitConfig
	}
	for _, line := range c.dropped {
		logf(levelWarn, "%s", line)
	}
	if a.test > 1 {
		fmt.Fprintf(os.Stderr, "%s\n", c.json)
	}
	logf(levelNotice, "configuration file %s test is successful", c.file)
	return exitOK
}

// report logs why a configuration cannot be used.
func report(err error) {
	var problems configError
	if !errors.As(err, &problems) {
		problems = configError{err.Error()}
	}
	for _, problem := range problems {
		logf(levelError, "%s", problem)
	}
}

// showPHP prints what php-cgi prints for -i, -m or -v.
func (a *arguments) showPHP() int {
	binary := ""
	if c, err := a.load(); err == nil {
		binary = c.binary()
	}
	path, err := phpbin.Find(binary)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitSoftware
	}
	args := []string{"-q", "-" + string(a.show)}
	if a.noINI {
		args = append(args, "-n")
	}
	if a.ini != "" {
		args = append(args, "-c", a.ini)
	}
	for _, s := range a.settings {
		args = append(args, "-d", strings.Join(s[:], "="))
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitSoftware
	}
	return exitOK
}
