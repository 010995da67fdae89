package phpbin

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// procAttr is how a php-cgi is started: without a window, and deaf to the
// Ctrl-C that is meant for us.
func procAttr(Options, int, syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
	}
}

func setCredential(*syscall.SysProcAttr, *Credential) {}
