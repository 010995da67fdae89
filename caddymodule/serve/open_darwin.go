package serve

import "os/exec"

// browserPackage says what to install if the program that browser runs is missing.
const browserPackage = ""

// browser returns the command that shows a URL.
func browser(url string) *exec.Cmd { return exec.Command("open", url) }
