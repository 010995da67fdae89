package command

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
)

// runImport prints a Caddyfile for php-fpm's files.
func runImport(cmd *cobra.Command, args []string) error {
	var site []byte
	if name, _ := cmd.Flags().GetString("caddyfile"); name != "" {
		var err error
		if site, err = os.ReadFile(name); err != nil {
			return err
		}
		if site == nil {
			site = []byte{}
		}
	}
	config, err := fpmconf.Read(fpmconf.Disk{}, args)
	if err != nil {
		return err
	}
	result, err := fpmconf.Convert(config, site)
	if err != nil {
		return fmt.Errorf("the Caddyfile cannot be changed: %w", err)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), result.Caddyfile); err != nil {
		return err
	}
	for _, line := range result.Lost {
		fmt.Fprintln(cmd.ErrOrStderr(), line)
	}
	if len(result.Lost) > 0 {
		return errReported
	}
	return nil
}
