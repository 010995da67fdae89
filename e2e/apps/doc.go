// Package apps tests php_pool with applications as Debian packages them, and the status
// page in a browser.
package apps
