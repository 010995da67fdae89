package phpbin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// end waits until every php-cgi has ended, and ends those that are left when
// time is up. There is nothing that one could ask them by: who stops a worker
// here has terminated it already.
func (g *group) shutdown() error {
	defer g.thread.stop()
	defer g.watchdog.stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		if g.running() == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-g.force:
			g.watchdog.killAll()
		}
	}
}

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w on Windows", errors.ErrUnsupported)
}

func killGroup(int) error { return errors.ErrUnsupported }

// ownOPcacheINI gives the processes of one launcher an OPcache of their own. The
// shared memory goes by name, and a worker that is terminated while it runs a
// script leaves "in use" raised for good: a reset then never happens again
// (ext/opcache/ZendAccelerator.c, accel_inc_usage). A new launcher starts anew.
func ownOPcacheINI() []Setting {
	return []Setting{{Name: "opcache.cache_id", Value: "php_pool_" + rand.Text()}}
}

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

// procAttr is how a php-cgi is started: without a window, and deaf to the
// Ctrl-C that is meant for us.
func procAttr(Options, int, syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
	}
}

func setCredential(*syscall.SysProcAttr, *Credential) {}
