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

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

// ownOPcacheINI returns nothing: the OPcache of a launcher is anonymous memory.
func ownOPcacheINI() []Setting { return nil }
