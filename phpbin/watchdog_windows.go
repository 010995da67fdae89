package phpbin

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// watchdog is a job object that ends all its processes when its last handle is
// closed, which Windows does for us however we end.
type watchdog struct {
	job  windows.Handle
	pgid int
}

func newWatchdog(int) (*watchdog, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, os.NewSyscallError("CreateJobObject", err)
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, os.NewSyscallError("SetInformationJobObject", err)
	}
	return &watchdog{job: job}, nil
}

// adopt puts a process into the job. It runs no script before we ask it to.
func (w *watchdog) adopt(p *os.Process) error {
	var assigned error
	err := p.WithHandle(func(handle uintptr) {
		assigned = windows.AssignProcessToJobObject(w.job, windows.Handle(handle))
	})
	if err == nil && assigned != nil {
		err = os.NewSyscallError("AssignProcessToJobObject", assigned)
	}
	return err
}

// stop closes the job; nothing is in it any more.
func (w *watchdog) stop() { _ = windows.CloseHandle(w.job) }

func (w *watchdog) killAll() { _ = windows.TerminateJobObject(w.job, 1) }
