// Command caddy is a Caddy with the php_pool module built in: what the tests
// run, and what one gets without xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	// Plug in Caddy's standard modules and ours.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/mevdschee/caddy-php-pool/caddymodule"
	"github.com/mevdschee/caddy-php-pool/caddymodule/serve"
)

// The name that FrankenPHP has for `caddy php-pool serve`. The module does not register
// it: Caddy panics on a second command with that name, in a build with both.
func init() {
	caddycmd.RegisterCommand(caddycmd.Command{Name: "php-server", Short: "Serves a directory with PHP", CobraFunc: serve.SetUp})
}

func main() { caddycmd.Main() }
