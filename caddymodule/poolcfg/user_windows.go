package poolcfg

// isRoot reports whether Caddy may run workers as another user; on Windows it cannot.
func isRoot() bool { return false }
