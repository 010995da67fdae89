//go:build unix

package phpbin

import "syscall"

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

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

// ownOPcacheINI returns nothing: the OPcache of a launcher is anonymous memory.
func ownOPcacheINI() []Setting { return nil }
