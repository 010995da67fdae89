package poolcfg

import "fmt"

// checkUserOption returns an error if the option user cannot be used on this system.
func checkUserOption(option string) error {
	return fmt.Errorf("user %s: on Windows PHP runs as Caddy's user: remove user", option)
}

// isRoot reports whether Caddy runs as root, which Windows does not have.
func isRoot() bool { return false }
