//go:build !race

package worker_test

import (
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAllocations_Request limits the heap allocations of a request to a worker script:
// one more than one to plain php-cgi has.
func TestAllocations_Request(t *testing.T) {
	w := newLoop(t, `<?php echo 'Hello';`).start().mustLaunch()
	send := small(t, w)
	if n := testing.AllocsPerRun(1000, send); n > 10 {
		t.Errorf("got %v allocations, want at most 10", n)
	}
}

// TestSystemCalls_Request limits the system calls of PHP in a request to a worker script:
// poll, recvfrom, two sendto (the response, and READY) and three getpid, which distinguish
// a copy of the process from the original. Plain php-cgi makes 24.
func TestSystemCalls_Request(t *testing.T) {
	w := newSite(t, `<?php while (frankenphp_handle_request(static function () { echo 'Hello'; })) {}`).start().mustLaunch()
	send := small(t, w)
	for range 5 {
		send() // the time limit is set in the first one
	}
	const requests = 50
	calls := systemCalls(t, w.PID(), func() {
		for range requests {
			send()
		}
	})
	if n := float64(calls) / requests; n < 4 || n > 7.5 {
		t.Errorf("got %v system calls for each request, want 7", n)
	}
}

// systemCalls returns how many system calls a process makes during f.
func systemCalls(t *testing.T, pid int, f func()) int {
	t.Helper()
	traced, counted := make(chan error), make(chan int)
	go func() {
		runtime.LockOSThread() // only the thread that traces may ask; it ends with the goroutine
		if err := unix.PtraceSeize(pid); err != nil {
			traced <- err
			return
		}
		stops := 0
		err := unix.PtraceInterrupt(pid)
		for {
			var status unix.WaitStatus
			if err == nil {
				_, err = unix.Wait4(pid, &status, unix.WALL, nil)
			}
			if err == syscall.EINTR { //nolint:errorlint // of a system call
				err = nil
				continue
			}
			if err != nil || !status.Stopped() {
				break
			}
			signal := status.StopSignal()
			switch {
			case traced != nil: // the first stop
				if err = unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD); err == nil {
					err = unix.PtraceSyscall(pid, 0)
				}
				traced <- err
				traced = nil
				continue
			case signal == syscall.SIGWINCH: // f has returned
				_ = unix.PtraceDetach(pid)
				counted <- stops / 2 // each call has two: its entry and its exit
				return
			case signal == syscall.SIGTRAP|0x80:
				stops++
				signal = 0
			case status.TrapCause() >= 0:
				signal = 0
			}
			err = unix.PtraceSyscall(pid, int(signal))
		}
		if traced != nil {
			traced <- err
			return
		}
		counted <- -1
	}()
	if err := <-traced; err != nil {
		t.Fatalf("tracing process %d: %v", pid, err)
	}
	f()
	if err := unix.Kill(pid, unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	return <-counted
}
