package phpstack

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// processMemory is the memory of a process.
type processMemory struct {
	pid  int
	file *os.File // /proc/PID/mem, if it was needed
}

// read uses process_vm_readv(2), which does not stop the process. That needs the real
// user of the process, or CAP_SYS_PTRACE. For /proc/PID/mem, which takes a system call
// for each chunk, the file system user of this thread is enough.
func (m *processMemory) read(chunks ...chunk) error {
	if m.file != nil {
		return m.readFile(chunks)
	}
	local, remote := make([]unix.Iovec, len(chunks)), make([]unix.RemoteIovec, len(chunks))
	want := 0
	for i, c := range chunks {
		local[i].Base = &c.b[0]
		local[i].SetLen(len(c.b))
		remote[i] = unix.RemoteIovec{Base: uintptr(c.addr), Len: len(c.b)}
		want += len(c.b)
	}
	n, err := unix.ProcessVMReadv(m.pid, local, remote, 0)
	switch {
	case errors.Is(err, unix.EFAULT), err == nil && n < want:
		return ErrUnstable // no such address
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	case errors.Is(err, unix.EPERM):
		var openErr error
		if m.file, openErr = os.Open(fmt.Sprintf("/proc/%d/mem", m.pid)); openErr != nil {
			return err
		}
		return m.readFile(chunks)
	default:
		return err
	}
}

func (m *processMemory) readFile(chunks []chunk) error {
	for _, c := range chunks {
		if int64(c.addr) < 0 {
			return ErrUnstable
		}
		switch n, err := m.file.ReadAt(c.b, int64(c.addr)); {
		case n == 0 && errors.Is(err, io.EOF):
			return os.ErrProcessDone
		case errors.Is(err, unix.EIO), errors.Is(err, io.EOF):
			return ErrUnstable // no such address
		case err != nil:
			return err
		}
	}
	return nil
}

func (m *processMemory) close() {
	if m.file != nil {
		_ = m.file.Close()
	}
}
