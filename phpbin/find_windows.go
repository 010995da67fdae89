package phpbin

import "os"

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
