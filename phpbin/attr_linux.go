package phpbin

import "syscall"

// procAttr is how a php-cgi is started in the process group pgid, or with 0 as
// the leader of a new one. parentDeathSignal is sent to it when the launcher's thread
// ends, that is also when we are killed; Go sets it after the change of user,
// which would clear it.
func procAttr(o Options, pgid int, parentDeathSignal syscall.Signal) *syscall.SysProcAttr {
	pidfd := -1
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid, Pdeathsig: parentDeathSignal, PidFD: &pidfd}
	setCredential(attr, o.Credential)
	return attr
}
