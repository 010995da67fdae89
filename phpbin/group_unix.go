//go:build unix

package phpbin

import "syscall"

// setCredential makes a process run as c. Without groups it has none: Go would
// otherwise leave it ours.
func setCredential(attr *syscall.SysProcAttr, c *Credential) {
	if c != nil {
		attr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
	}
}

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

func ownOPcacheINI() []Setting { return nil }
