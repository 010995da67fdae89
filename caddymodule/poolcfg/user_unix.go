//go:build unix

package poolcfg

import "os"

// checkUserOption returns an error if the option user cannot be used on this system.
func checkUserOption(string) error { return nil }

// isRoot reports whether Caddy runs as root.
func isRoot() bool { return os.Geteuid() == 0 }
