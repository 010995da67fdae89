package poolcfg

import "fmt"

// checkUserOption returns an error if the option user cannot be used on this system.
func checkUserOption(option string) error {
	return fmt.Errorf("user %s: on Windows PHP runs as Caddy's user: remove user", option)
}

// isRoot reports whether Caddy may run workers as another user; on Windows it cannot.
func isRoot() bool { return false }
