package phpbin

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// OpenInput opens for writing the file that the process has open as descriptor, if it is
// an ordinary file without a name that belongs to the user of the process: nothing else
// can have or get the content then, and the process could write to it itself.
func (x *Worker) OpenInput(descriptor int) (*os.File, error) {
	pid := x.PID()
	uid, err := effectiveUID(pid)
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", pid, descriptor)
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
	if err != nil {
		_ = f.Close() // unused
		return nil, err
	}
	return f, nil
}

// effectiveUID returns the effective user ID of a process.
func effectiveUID(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, text, _ = bytes.Cut(text, []byte("\nUid:"))
	fields := bytes.Fields(text) // the real one, the effective one, and more
	if len(fields) < 2 {
		return 0, fmt.Errorf("process %d has no user ID in /proc", pid)
	}
	return strconv.Atoi(string(fields[1]))
}
