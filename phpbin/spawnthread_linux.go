package phpbin

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// prepareThread sets the attributes of the calling thread, which must be locked.
// Only a niceness below ours needs a privilege.
func prepareThread(o Options) error {
	closeInheritedOnExec()
	if err := dropCapabilities(); err != nil {
		return err
	}
	if o.Umask != nil {
		// The umask is shared by all threads until one gets its own by unshare(2).
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
		// On Linux, unlike in POSIX, 0 is the calling thread.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice); err != nil {
			return fmt.Errorf("setting nice %d: %w", o.Nice, err)
		}
	}
	if o.Confine != nil {
		if err := DetectConfinement().Apply(o.Confine.config()); err != nil {
			return fmt.Errorf("confining php-cgi: %w", err)
		}
	}
	return nil
}

// dropCapabilities clears the ambient and the inheritable capabilities, so that
// scripts do not get CAP_NET_BIND_SERVICE, which lets a web server bind port 80
// without being root. Both sets survive exec, and a change of user clears at most
// the ambient one.
func dropCapabilities() error {
	// EINVAL: Linux before 4.3 has no ambient capabilities.
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

// closeInheritedOnExec marks the descriptors that this process has inherited as
// close-on-exec, so that php-cgi does not get them: under socket activation they
// are the web server's listening sockets. Go marks those that it opens. This
// affects the whole process, unlike the rest of prepareThread, but exec.Cmd's
// ExtraFiles still work. Linux before 5.11 does not support it.
func closeInheritedOnExec() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}
