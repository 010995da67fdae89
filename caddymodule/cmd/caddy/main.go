// Command caddy is a Caddy with the php_pool module built in: what the tests
// run, and what one gets without xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	// Plug in Caddy's standard modules and ours.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/mevdschee/caddy-php-pool/caddymodule"
)

func main() { caddycmd.Main() }
