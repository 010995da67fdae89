package phpbin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shutdown waits until every php-cgi has exited, and kills those that remain when
// the context of a Close ends. Windows has no signal that asks a process to exit:
// stopping a worker has terminated it already.
func (g *group) shutdown(func(int) bool) error {
	defer g.stopThread()
	defer g.leaveJobs()
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

// jobAccounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, which x/sys lacks.
type jobAccounting struct {
	times           [4]int64
	pageFaults      uint32
	total           uint32
	active          uint32
	terminatedTotal uint32
}

// jobs returns the number of processes in the job object.
func (g *group) jobs() (int, error) {
	const basicAccounting = 1 // JobObjectBasicAccountingInformation
	var info jobAccounting
	err := windows.QueryInformationJobObject(g.watchdog.job, basicAccounting,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	return int(info.active), os.NewSyscallError("QueryInformationJobObject", err)
}

// signalJobs terminates the programs: Windows has no signals.
func (g *group) signalJobs(syscall.Signal) { g.watchdog.killAll() }

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w on Windows", errors.ErrUnsupported)
}

func cancelGroup(*exec.Cmd) {}

func killGroup(int) error { return errors.ErrUnsupported }

// ownOPcacheINI gives the processes of one launcher their own OPcache. Its shared
// memory has a name, and a worker that is terminated while it runs a script leaves
// the use count raised for good, after which a reset never happens
// (ext/opcache/ZendAccelerator.c, accel_inc_usage).
func ownOPcacheINI() []Setting {
	return []Setting{{Name: "opcache.cache_id", Value: "php_pool_" + rand.Text()}}
}

// watchdog is a job object. Windows kills its processes when its last handle is
// closed, and closes our handle when this process ends.
type watchdog struct {
	job  windows.Handle
	pgid int
}

func newWatchdog(int, string, func(string, error)) (*watchdog, error) {
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

// adopt adds a process to the job. It runs no script before we connect to it.
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

// hasLeft returns false: a process cannot leave the job.
func (g *group) hasLeft(int) bool { return false }

// stop closes the job.
func (w *watchdog) stop() { _ = windows.CloseHandle(w.job) }

func (w *watchdog) killAll() { _ = windows.TerminateJobObject(w.job, 1) }

// procAttr returns the attributes for starting php-cgi: without a window, and in its
// own group, so that a Ctrl-C for us does not reach it.
func procAttr(Options, int, syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
	}
}

func setCredential(*syscall.SysProcAttr, *Credential) {}
