package phpbin

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// prepareThread changes the calling thread, which is to stay locked. None of it
// needs a privilege, but for a niceness below ours.
func prepareThread(o Options) error {
	markInheritedCloseOnExec()
	if err := dropCapabilities(); err != nil {
		return err
	}
	if o.Umask != nil {
		// The umask is shared by all threads until one asks for its own.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare(CLONE_FS)", err)
		}
		unix.Umask(*o.Umask)
	}
	if o.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
		}
	}
	if o.Nice != 0 {
		// On Linux 0 is the calling thread, whatever POSIX says of processes.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice); err != nil {
			return fmt.Errorf("setting the niceness %d: %w", o.Nice, err)
		}
	}
	return nil
}

// dropCapabilities keeps what lets a web server bind port 80 without being
// root, CAP_NET_BIND_SERVICE as an ambient capability, from the scripts: both
// sets survive exec, and a change of user at most clears the first.
func dropCapabilities() error {
	// EINVAL: before Linux 4.3 there were none.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return os.NewSyscallError("prctl(PR_CAP_AMBIENT_CLEAR_ALL)", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	return nil
}

// markInheritedCloseOnExec keeps from php-cgi what this process was itself started with:
// under socket activation those are the web server's listening sockets. What Go
// opens it marks close-on-exec, but not what it inherited. Of all that is done
// here only this is seen by the whole process, and what it means to pass on
// (exec.Cmd.ExtraFiles) still goes. Before Linux 5.11 it is an error to ignore.
func markInheritedCloseOnExec() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}
