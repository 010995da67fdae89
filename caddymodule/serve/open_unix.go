//go:build unix && !darwin

package serve

import (
	"os/exec"
	"syscall"
)

// browserPackage says what to install if the program that browser runs is missing.
const browserPackage = ", which the package xdg-utils has"

// browser returns the command that shows a URL. The session keeps Ctrl-C from the browser that
// it may have started.
func browser(url string) *exec.Cmd {
	cmd := exec.Command("xdg-open", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}
