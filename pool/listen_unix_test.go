//go:build unix

package pool

import (
	"path/filepath"
	"testing"
)

// localListener returns the network and the address on which a php-cgi listens here.
func localListener(tb testing.TB) (network, address string) {
	tb.Helper()
	return "unix", filepath.Join(tb.TempDir(), "s")
}
