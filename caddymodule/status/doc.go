// Package status reports the state of pools: with the admin API and its JSON, the
// live page, and the handlers php_pool_status and php_pool_ping. It registers
// their Caddy modules.
package status
