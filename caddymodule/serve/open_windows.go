package serve

import "os/exec"

// browserPackage says what to install if the program that browser runs is missing.
const browserPackage = ""

// browser returns the command that shows a URL. Unlike "start" of cmd.exe it takes & as it is.
func browser(url string) *exec.Cmd {
	return exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
}
