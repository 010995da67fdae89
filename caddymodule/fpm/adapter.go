//go:build unix

package fpm

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func init() { caddyconfig.RegisterAdapter("php-fpm", adapter{}) }

// adapter makes Caddy's JSON of a php-fpm.conf, for `caddy adapt`, `caddy validate` and
// the commands that need the address of the admin endpoint.
type adapter struct{}

// Adapt implements [caddyconfig.Adapter]. It reads the file again, because it has to
// know where it is.
func (adapter) Adapt(_ []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	file, _ := options["filename"].(string)
	if file == "" {
		return nil, nil, fmt.Errorf("the adapter php-fpm needs the path of php-fpm.conf")
	}
	c, err := (&arguments{config: file}).load()
	if err != nil {
		return nil, nil, err
	}
	var warnings []caddyconfig.Warning
	for _, line := range c.dropped {
		warnings = append(warnings, caddyconfig.Warning{File: file, Message: line})
	}
	return c.json, warnings, nil
}
