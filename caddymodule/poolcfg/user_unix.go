//go:build unix

package poolcfg

import "os"

// checkUserOption returns an error if the option user cannot be used on this system.
func checkUserOption(string) error { return nil }

// isRoot reports whether Caddy may run workers as another user.
func isRoot() bool { return os.Geteuid() == 0 }
