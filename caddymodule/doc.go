// Package caddymodule is the Caddy face of php_pool.
package caddymodule
