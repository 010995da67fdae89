package poolcfg

// isRoot: on Windows workers run as Caddy does.
func isRoot() bool { return false }
