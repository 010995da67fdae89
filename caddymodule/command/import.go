package command

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
	"github.com/mevdschee/caddy-php-pool/caddymodule/vhosts"
)

// runImport prints a Caddyfile for php-fpm's files.
func runImport(cmd *cobra.Command, args []string) error {
	var site []byte
	if name, _ := cmd.Flags().GetString("caddyfile"); name != "" {
		if cmd.Flags().Changed("sites") {
			return errors.New("--caddyfile and --sites cannot be used together: one is for sites of Caddy, the other for those of nginx and Apache")
		}
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
	var result *fpmconf.Result
	if cmd.Flags().Changed("sites") {
		patterns, _ := cmd.Flags().GetStringSlice("sites")
		result, err = importSites(config, patterns)
	} else if result, err = fpmconf.Convert(config, site); err != nil {
		err = fmt.Errorf("the Caddyfile cannot be changed: %w", err)
	}
	if err != nil {
		return err
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

// debianSites is the value of --sites without one.
const debianSites = "debian"

// importSites converts pools, and the sites of nginx and Apache that files have.
func importSites(config *fpmconf.Config, patterns []string) (*fpmconf.Result, error) {
	if len(patterns) == 1 && patterns[0] == debianSites {
		patterns = vhosts.DefaultFiles
	}
	files, err := vhosts.Read(fpmconf.Disk{}, patterns)
	if err != nil {
		return nil, err
	}
	var sites *vhosts.Result
	result := fpmconf.ConvertSites(config, func(find fpmconf.Finder) []string {
		sites = files.Sites(find)
		return sites.Lines
	})
	result.Lost = append(result.Lost, sites.Lost...)
	return result, nil
}
