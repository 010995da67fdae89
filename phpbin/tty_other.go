//go:build !linux

package phpbin

import "os/exec"

func withoutTerminal(*exec.Cmd) func() { return func() {} }
