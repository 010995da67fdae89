//go:build unix

package phpbin

import (
	"os/exec"
	"syscall"
)

// setCredential makes a process run as c. Nil Groups mean no supplementary
// groups: Go would otherwise keep ours.
func setCredential(attr *syscall.SysProcAttr, c *Credential) {
	if c != nil {
		attr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
}

// hasLeft reports whether the process runs and is in another group.
func (g *group) hasLeft(pid int) bool {
	pgid, err := syscall.Getpgid(pid)
	return err == nil && pgid != g.watchdog.pgid
}

// cancelGroup makes cmd start in its own process group, which is killed when its context
// ends: php-cgi may be a shell script that has started another program.
func cancelGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
}

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

// ownOPcacheINI returns nothing: the OPcache of a launcher is anonymous memory.
func ownOPcacheINI() []Setting { return nil }
