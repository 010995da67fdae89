//go:build unix

package poolcfg

import "os"

// isRoot reports whether Caddy may run workers as another user.
func isRoot() bool { return os.Geteuid() == 0 }
