package phpbin

import (
	"io/fs"
	"os"
	"strings"
)

// SupportsPreload reports whether PHP has opcache.preload on this system.
const SupportsPreload = false

// baseEnv lists the variables of our environment that php-cgi inherits. Winsock
// needs SystemRoot.
var baseEnv = []string{
	"PATH", "LANG", "TZ", "TEMP", "TMP", "SystemRoot", "SystemDrive", "ComSpec", "PATHEXT", "USERPROFILE", "USERNAME",
}

const (
	exeSuffix   = ".exe"
	installHint = `the zip file from windows.php.net, unpacked to C:\php, or "scoop install php"`
)

// usualDirs are glob patterns of directories outside of PATH that may contain
// php-cgi.
var usualDirs = []string{
	`C:\php*`, `C:\tools\php*`, `C:\Program Files\PHP*`, `C:\Program Files\PHP\*`, `C:\xampp\php`,
	`C:\Users\*\scoop\apps\php*\current`,
}

func executable(info os.FileInfo) bool { return info.Mode().IsRegular() }

// TopLevelDirs lists all possible drives, in lower case, which PHP compares with. A
// network share has none, so AdminINI does not apply to it.
func TopLevelDirs() ([]string, error) {
	var dirs []string
	for drive := 'a'; drive <= 'z'; drive++ {
		dirs = append(dirs, string(drive)+":")
	}
	return dirs, nil
}

// TopLevelDir returns the part of a script's absolute path that must be one of
// [Options.AdminDirs] for AdminINI to apply: the drive.
func TopLevelDir(path string) string {
	if i := strings.IndexAny(path, `/\`); i >= 0 {
		path = path[:i]
	}
	return strings.ToLower(path)
}

// fileOwner returns nothing: Windows has no numeric users.
func fileOwner(fs.FileInfo) (uid, gid uint32, ok bool) { return 0, 0, false }
