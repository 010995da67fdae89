package phpbin

import (
	"fmt"
	"os"
	"syscall"
)

// OpenInput opens for writing the file that the process has open as descriptor, if it is
// an ordinary file without a name that belongs to the user of the process: nothing else
// can have or get the content then, and the process could write to it itself. The user is
// the one that the process was started as: it may have executed a program that is setuid
// root since, while its child has the connection.
func (x *Worker) OpenInput(descriptor int) (*os.File, error) {
	uid := os.Geteuid()
	if c := x.owner.base.shared().opts.Credential; c != nil {
		uid = int(c.UID)
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", x.PID(), descriptor)
	check := func(info os.FileInfo) error {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.Mode().IsRegular() || stat.Nlink != 0 || int(stat.Uid) != uid {
			return fmt.Errorf("descriptor %d is not the file of php://input", descriptor)
		}
		return nil
	}
	info, err := os.Stat(path) // opening a device may have effects
	if err == nil {
		err = check(info)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat() // the process may have put another file there
	if err == nil {
		err = check(info)
	}
	if err == nil { // else its PID may be that of another process
		err = x.signal(func() error { return x.Process.signal(0) })
	}
	if err != nil {
		_ = f.Close() // unused
		return nil, err
	}
	return f, nil
}
