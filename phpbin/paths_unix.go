//go:build unix

package phpbin

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// SupportsPreload reports whether PHP has opcache.preload on this system.
const SupportsPreload = true

// baseEnv lists the variables of our environment that php-cgi inherits.
var baseEnv = []string{"PATH", "LANG", "TZ", "TMPDIR", "HOME", "USER"}

const (
	exeSuffix = ""

	// The names of the packages differ: Fedora's php-cli contains php-cgi, Homebrew's
	// php contains every SAPI.
	installHint = `"apt install php-cgi" (Debian, Ubuntu), "dnf install php-cli" (Fedora, RHEL), ` +
		`"apk add php83-cgi" (Alpine) or "brew install php" (macOS)`
)

// usualDirs are glob patterns of directories outside of PATH that may contain
// php-cgi: those of the system, Remi's software collections, cPanel, CloudLinux,
// Plesk, Homebrew and MacPorts.
var usualDirs = []string{
	"/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/local/bin",
	"/opt/homebrew/opt/php@*/bin", "/usr/local/opt/php@*/bin", "/home/linuxbrew/.linuxbrew/bin",
	"/opt/remi/php*/root/usr/bin", "/opt/cpanel/ea-php*/root/usr/bin", "/opt/alt/php*/usr/bin", "/opt/plesk/php/*/bin",
}

func executable(info os.FileInfo) bool { return info.Mode().IsRegular() && info.Mode()&0o111 != 0 }

// TopLevelDirs lists the directories in the root of the file system, including
// symbolic links that may lead to one. The path of every script begins with one of
// them, however its links are resolved.
func TopLevelDirs() ([]string, error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() || e.Type()&os.ModeSymlink != 0 {
			dirs = append(dirs, "/"+e.Name())
		}
	}
	return dirs, nil
}

// TopLevelDir returns the part of a script's absolute path that must be one of
// [Options.AdminDirs] for AdminINI to apply: everything up to the second slash.
func TopLevelDir(path string) string {
	if path == "" {
		return ""
	}
	i := strings.IndexByte(path[1:], '/')
	return path[:i+1]
}

// fileOwner returns the user and the group of a file.
func fileOwner(info fs.FileInfo) (uid, gid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}
