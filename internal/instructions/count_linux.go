package instructions

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// count runs the test a second time and steps through it. A thread that stands
// still may hold what the other one waits for: then it is tried again.
func count(name string) (n int, err error) {
	for range 3 {
		if n, err = countOnce(name); !errors.Is(err, errStalled) {
			break
		}
	}
	return n, err
}

var errStalled = errors.New("the second process waits for what stands still")

// stalled is how long a thousand steps may take at most; a test shortens it.
var stalled = 15 * time.Second

func countOnce(name string) (n int, err error) {
	// All that ptrace does belongs to one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	defer onOneCPU()()
	cmd := exec.Command(self, again(name)...)
	cmd.Env = append(os.Environ(), variable+"="+name, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1,cpu.all=off")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	w := &watched{pid: cmd.Process.Pid}
	w.tooLong = time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer func() {
		if !w.tooLong.Stop() {
			err = errStalled
		}
		_ = cmd.Process.Kill()
		w.reap()
		_ = cmd.Wait() // it was killed
	}()
	if w.tid, err = watchedThread(stdout); err != nil {
		return 0, err
	}
	if err := w.seize(stdin); err != nil {
		return 0, err
	}
	return w.least()
}

// onOneCPU keeps this thread, and the process that it starts, on one CPU: they
// only ever take turns, and each turn is ten times as long between two. It
// returns what undoes that for the thread.
func onOneCPU() (undo func()) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return func() {}
	}
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	_ = unix.SchedSetaffinity(0, &one) // it is slower without
	return func() { _ = unix.SchedSetaffinity(0, &all) }
}

// watchedThread waits until the process is ready.
func watchedThread(stdout io.Reader) (tid int, err error) {
	var said strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), ready+" %d", &tid); n == 1 {
			return tid, nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return 0, fmt.Errorf("the second process did not come so far: %s", &said)
}

// watched is the process, and the thread of it that runs.
type watched struct {
	pid, tid int
	still    []int // the other threads
	tooLong  *time.Timer
}

// seize stops the whole process at the place where the rounds begin.
func (w *watched) seize(stdin io.Writer) error {
	if err := w.attach(w.tid); err != nil {
		return err
	}
	if _, err := stdin.Write([]byte{1}); err != nil {
		return err
	}
	if err := w.wait(w.tid); err != nil {
		return err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", w.pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil || tid == w.tid {
			continue
		}
		if err := w.attach(tid); err != nil {
			return err
		}
		w.still = append(w.still, tid)
		if err := unix.PtraceInterrupt(tid); err != nil {
			return fmt.Errorf("ptrace: interrupting: %w", err)
		}
		if err := w.wait(tid); err != nil {
			return err
		}
	}
	return nil
}

func (w *watched) attach(tid int) error {
	err := unix.PtraceSeize(tid)
	switch err {
	case nil:
		return nil
	case unix.EPERM, unix.EACCES, unix.ENOSYS:
		return fmt.Errorf("%w: ptrace: %w", errRefused, err)
	default:
		return fmt.Errorf("ptrace: %w", err)
	}
}

// errRefused is that of a system that lets nobody step through a process, not
// even who started it.
var errRefused = errors.New("this system does not let a test step through itself")

// wait waits until a thread stops.
func (w *watched) wait(tid int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(tid, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for thread %d: %w", tid, err)
		}
		if !status.Stopped() {
			return fmt.Errorf("thread %d ended with %#x while it was watched", tid, int(status))
		}
		return nil
	}
}

// ownCode is below what is not the program's own: the vDSO, and the libraries.
const ownCode = 0x7000_0000_0000

// least steps through all rounds and returns the least that one has taken.
func (w *watched) least() (int, error) {
	var regs unix.PtraceRegs
	least, n, marks := 0, 0, 0
	for at, steps := markAddress(), 0; marks <= rounds; n, steps = n+1, steps+1 {
		if steps%1000 == 0 && w.tooLong.Stop() {
			w.tooLong.Reset(stalled)
		}
		if err := unix.PtraceSingleStep(w.tid); err != nil {
			return 0, fmt.Errorf("ptrace: stepping: %w", err)
		}
		if err := w.wait(w.tid); err != nil {
			return 0, err
		}
		if err := unix.PtraceGetRegs(w.tid, &regs); err != nil {
			return 0, fmt.Errorf("ptrace: registers: %w", err)
		}
		switch pc := regs.PC(); {
		case pc == at:
			if marks > 0 && (least == 0 || n < least) {
				least = n
			}
			marks++
			n = 0
		case pc >= ownCode:
			n--
		}
	}
	return least, nil
}

// reap waits for the threads that were watched: until then the killed process
// does not end.
func (w *watched) reap() {
	for _, tid := range append(w.still, w.tid) {
		var status unix.WaitStatus
		for tid != 0 && tid != w.pid {
			if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != unix.EINTR && (err != nil || !status.Stopped()) {
				break
			}
		}
	}
}
