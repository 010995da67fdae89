//go:build unix

package phpbin

import (
	"os"
	"strings"
)

// baseEnv is what php-cgi gets of our own environment.
var baseEnv = []string{"PATH", "LANG", "TZ", "TMPDIR", "HOME", "USER"}

const (
	exeSuffix = ""

	// The packages' names differ: Fedora's php-cli holds php-cgi, Homebrew's
	// php holds every SAPI.
	installHint = `"apt install php-cgi" (Debian, Ubuntu), "dnf install php-cli" (Fedora, RHEL), ` +
		`"apk add php83-cgi" (Alpine) or "brew install php" (macOS)`
)

// usualDirs are glob patterns of where php-cgi lies without being in PATH:
// besides the system's own directories, Remi's software collections, cPanel,
// CloudLinux, Plesk, Homebrew and MacPorts.
var usualDirs = []string{
	"/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/local/bin",
	"/opt/homebrew/opt/php@*/bin", "/usr/local/opt/php@*/bin", "/home/linuxbrew/.linuxbrew/bin",
	"/opt/remi/php*/root/usr/bin", "/opt/cpanel/ea-php*/root/usr/bin", "/opt/alt/php*/usr/bin", "/opt/plesk/php/*/bin",
}

func executable(info os.FileInfo) bool { return info.Mode().IsRegular() && info.Mode()&0o111 != 0 }

// TopLevelDirs lists the directories, and the links that may lead to one, in the root
// of the file system: one of them begins the path of every script, however its
// links are resolved.
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

// TopLevelDir is the part of a script's absolute path that PHP would have to find
// among [Options.AdminDirs]: up to the second slash, whatever that makes.
func TopLevelDir(path string) string {
	if path == "" {
		return ""
	}
	i := strings.IndexByte(path[1:], '/')
	return path[:i+1]
}
