//go:build unix && !linux

package phpbin

import "syscall"

// procAttr is how a php-cgi is started in the process group pgid.
func procAttr(o Options, pgid int, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	setCredential(attr, o.Credential)
	return attr
}
