// Package phppool contains nothing but the Caddy modules of package caddymodule, so
// that the address of the repository can be used to build Caddy with them:
//
//	xcaddy build --with github.com/mevdschee/caddy-php-pool
package phppool

import _ "github.com/mevdschee/caddy-php-pool/caddymodule" // registers the modules
