//go:build linux

package e2e

import (
	"fmt"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestStatusPool_OwnSite shows the pool of each site without its name. Both sites
// are a whole server, so nothing in their configuration tells them apart.
func TestStatusPool_OwnSite(t *testing.T) {
	t.Parallel()
	const site = `
		:{$PORT} {
			root {$SITE}
			handle /status {
				php_pool_status
			}
			php_pool_ping /ping
			php_pool {
				name first
				workers 1
			}
		}
		:{$PORT2} {
			root {$SITE}
			php_pool {
				name second
				workers 2
			}
			handle /status {
				php_pool_status
			}
		}
	`
	s := harness.Start(t, harness.SharedLean, site)
	for range 4 { // Caddy provisions servers in the order of a map
		s.Get("/status").WantContains(t, 200, "pool:                 first\n", "total processes:      1\n")
		s.Get("/ping").Want(t, 200, "pong")
		url := fmt.Sprintf("http://127.0.0.1:%d/status", s.Port+1)
		harness.Do(t, s.Client, harness.NewRequest(t, "GET", url, nil)).WantContains(t, 200, "pool:                 second\n", "total processes:      2\n")
		s.MustReload(site + "# again\n")
	}
	err := s.Reload(`
		http://127.0.0.1:{$PORT} {
			php_pool {
				name first
				workers 1
			}
			php_pool_ping /ping typo
		}
	`)
	if err == nil {
		t.Fatal("a pool that does not exist was accepted")
	}
	harness.WantMessage(t, err, []string{"there is no pool typo: there is first"})
}
