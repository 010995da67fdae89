// Package status shows pools to others: the admin API and its JSON, the live page,
// php_pool_status and php_pool_ping. It registers their Caddy modules.
package status
