package phpbin

import (
	"os"
	"strings"
)

// baseEnv is what php-cgi gets of our own environment. Without SystemRoot
// Winsock does not start.
var baseEnv = []string{
	"PATH", "LANG", "TZ", "TEMP", "TMP", "SystemRoot", "SystemDrive", "ComSpec", "PATHEXT", "USERPROFILE", "USERNAME",
}

const (
	exeSuffix   = ".exe"
	installHint = `the zip file from windows.php.net, unpacked to C:\php, or "scoop install php"`
)

// usualDirs are glob patterns of where php-cgi lies without being in PATH.
var usualDirs = []string{
	`C:\php*`, `C:\tools\php*`, `C:\Program Files\PHP*`, `C:\Program Files\PHP\*`, `C:\xampp\php`,
	`C:\Users\*\scoop\apps\php*\current`,
}

func executable(info os.FileInfo) bool { return info.Mode().IsRegular() }

// TopLevelDirs lists all drives that there can be, in the lower case that PHP compares
// in. A share has none, and so no settings of the administrator.
func TopLevelDirs() ([]string, error) {
	var dirs []string
	for drive := 'a'; drive <= 'z'; drive++ {
		dirs = append(dirs, string(drive)+":")
	}
	return dirs, nil
}

// TopLevelDir is the part of a script's absolute path that PHP would have to find
// among [Options.AdminDirs].
func TopLevelDir(path string) string {
	if i := strings.IndexAny(path, `/\`); i >= 0 {
		path = path[:i]
	}
	return strings.ToLower(path)
}
