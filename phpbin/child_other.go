//go:build !linux

package phpbin

import "os/exec"

// watch watches a process that we started, and reaps it.
func watch(cmd *exec.Cmd, ended func()) *child { return watchCmd(cmd, ended) }
