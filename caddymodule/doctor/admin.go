package doctor

import (
	"os"
	"path/filepath"
	"strings"
)

// AdminRemedy says how to keep scripts from Caddy's admin endpoint, which listens at
// address. A socket needs a directory, which Caddy does not create.
func AdminRemedy(address string) string {
	return adminRemedy(address, runtimeDir())
}

func adminRemedy(address, dir string) string {
	create := ""
	if dir == "" {
		dir = "/run/caddy"
		create = "create a directory that PHP's user cannot enter (RuntimeDirectory=caddy and RuntimeDirectoryMode=0700 in Caddy's systemd unit), "
	}
	return create + "write `admin unix/" + dir + "/admin.sock` in the global options, and load that once with `caddy reload --address " +
		address + "`; or write `admin off`"
}

// runtimeDir returns the directory that systemd has created for Caddy, or "".
func runtimeDir() string {
	if dirs := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 && strings.HasPrefix(dirs[0], "/") {
		return dirs[0]
	}
	const usual = "/run/caddy"
	if info, err := os.Stat(usual); err == nil && info.IsDir() {
		return usual
	}
	return ""
}
