package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Remedies that name tools of one system take the system as a value of GOOS, so that a test
// reads those of all systems.
const (
	linux   = "linux"
	windows = "windows"
	darwin  = "darwin"
)

// SameUserRemedy says how to separate PHP from Caddy.
func SameUserRemedy() string { return sameUserRemedy(runtime.GOOS) }

func sameUserRemedy(goos string) string {
	const trust = "make sure that all sites trust each other"
	switch goos {
	case linux:
		return "let Caddy start PHP as www-data (docs/operations.md has the drop-in for `systemctl edit caddy`), or " + trust
	case windows:
		return trust + ": on Windows PHP cannot run as another user"
	}
	return "run Caddy as root, and write `user <name>` with another user for PHP, or " + trust
}

// SharedUserRemedy says how to separate pools from each other.
func SharedUserRemedy() string { return sharedUserRemedy(runtime.GOOS) }

func sharedUserRemedy(goos string) string {
	if goos == windows {
		return sameUserRemedy(goos)
	}
	return "give each pool its own user"
}

// extensionRemedy says how to install an extension, by its name without suffix.
func extensionRemedy(goos, name string) string {
	switch goos {
	case linux:
		return "install it (Debian, Ubuntu: apt install php-" + name + ")"
	case windows:
		return "put php_" + name + ".dll into PHP's extension_dir"
	case darwin:
		return "install it (Homebrew's php has most extensions, others by pecl install " + name + ")"
	}
	return "install it (pecl install " + name + ", or its package)"
}

// opcacheRemedy says how to install OPcache for a PHP version such as 8.2.
func opcacheRemedy(goos, version string) string {
	const load = "load it with `zend_extension=opcache` in an ini file"
	switch goos {
	case linux:
		return "install the extension (Debian: apt install php" + version + "-opcache) and " + load
	case windows, darwin: // it is part of PHP
		return load
	}
	return "install the extension and " + load
}

// privilegeRemedy says how to let doctor read what only Caddy can read.
func privilegeRemedy(goos string) string {
	if goos == windows {
		return "run doctor as an administrator"
	}
	return "run doctor as root"
}

// AdminRemedy says how to keep scripts from Caddy's admin endpoint, which listens at
// address. A socket needs a directory, which Caddy does not create.
func AdminRemedy(address string) string { return adminRemedy(runtime.GOOS, address, runtimeDir()) }

func adminRemedy(goos, address, dir string) string {
	create := ""
	switch {
	case goos == windows: // PHP is the user of any socket
		return "write `admin off` in the global options, if not all scripts may load a config; load that once with `caddy reload --address " +
			address + "`"
	case dir == "" && goos == linux:
		dir = usualRuntimeDir
		create = "create a directory that PHP's user cannot enter (RuntimeDirectory=caddy and RuntimeDirectoryMode=0700 in Caddy's systemd unit), "
	case dir == "":
		dir = "/var/run/caddy"
		create = "create a directory that PHP's user cannot enter, "
	}
	return create + "write `admin unix/" + dir + "/admin.sock` in the global options, and load that once with `caddy reload --address " +
		address + "`; or write `admin off`"
}

// SocketDirRemedy says how to make the directory of an admin socket, which does not exist.
func SocketDirRemedy() string { return socketDirRemedy(runtime.GOOS) }

func socketDirRemedy(goos string) string {
	if goos == linux {
		return "write RuntimeDirectory=caddy and RuntimeDirectoryMode=0700 in Caddy's systemd unit for " + usualRuntimeDir + ", or create the directory"
	}
	return "create the directory"
}

// usualRuntimeDir is the directory that systemd creates for the drop-in of the documentation.
const usualRuntimeDir = "/run/caddy"

// runtimeDir returns the directory that systemd has created for Caddy, or "".
func runtimeDir() string {
	if dirs := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 && strings.HasPrefix(dirs[0], "/") {
		return dirs[0]
	}
	if info, err := os.Stat(usualRuntimeDir); err == nil && info.IsDir() {
		return usualRuntimeDir
	}
	return ""
}
