//go:build linux

package cluster

import (
	"fmt"
	"os"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

func TestMain(m *testing.M) {
	if os.Getuid() != 0 && os.Getenv("PHP_POOL_E2E_KEEPER") == "" {
		fmt.Fprintln(os.Stderr, "these tests need root for their networks: go test -exec 'sudo -E' ./e2e/cluster")
		os.Exit(1)
	}
	harness.Main(m)
}
