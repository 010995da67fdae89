//go:build linux

package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// superviseEnv makes the test binary a supervisor; its value is the command as JSON.
const superviseEnv = "PHP_POOL_E2E_KEEPER"

// Command is a command that a supervisor runs.
type Command struct {
	Args []string
	Env  []string // the whole environment
	Dir  string
	Log  string // the file that takes stdout and stderr
	UID  uint32 // run as this user; 0 does not switch

	Ambient []uintptr // capabilities that the user has

	NoLandlock bool // landlock_create_ruleset(2) fails with ENOSYS
}

// Supervised is a command whose parent, the supervisor, is a subreaper (see prctl(2)):
// orphans of the command, even those in other sessions, become children of the
// supervisor and not of init. So they can be distinguished from all other processes.
type Supervised struct {
	PID       int       // of the command
	StartedAt time.Time // just before it was executed

	cmd      *exec.Cmd
	stdin    io.WriteCloser
	Exited   chan struct{}
	ExitCode int // 128+n after signal n; read once exited is closed
}

// Supervise starts a command. When the test ends, the supervisor kills the command
// and all its descendants.
func Supervise(tb testing.TB, c Command) *Supervised {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	spec, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	k := &Supervised{cmd: exec.Command(self), Exited: make(chan struct{})}
	k.cmd.Env = append(os.Environ(), superviseEnv+"="+string(spec))
	k.cmd.Stderr = os.Stderr
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(k.Kill)
	lines := bufio.NewReader(stdout)
	var start int64
	if _, err := fmt.Fscanf(lines, "started %d at %d\n", &k.PID, &start); err != nil {
		tb.Fatalf("starting %s: see above (%v)", c.Args[0], err)
	}
	k.StartedAt = time.Unix(0, start)
	go func() {
		defer close(k.Exited)
		fmt.Fscanf(lines, "exited %d\n", &k.ExitCode)
	}()
	return k
}

// Signal sends a signal to the command alone. It does nothing if that has exited.
func (k *Supervised) Signal(sig syscall.Signal) {
	fmt.Fprintln(k.stdin, int(sig))
}

// Wait reports the exit code, or false if the command still runs after d.
func (k *Supervised) Wait(d time.Duration) (int, bool) {
	select {
	case <-k.Exited:
		return k.ExitCode, true
	case <-time.After(d):
		return 0, false
	}
}

// Processes returns the command and its descendants.
func (k *Supervised) Processes() []Process { return Descendants(k.cmd.Process.Pid) }

// Kill kills the processes that are left and waits until they are gone.
func (k *Supervised) Kill() {
	k.stdin.Close()
	k.cmd.Wait()
}

// superviseMain is the supervisor process. It reads signal numbers from stdin. EOF,
// which also comes when the test process dies, makes it kill everything.
func superviseMain(spec string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	var c Command
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return fail(err)
	}
	// Ctrl-C in a terminal goes to the whole process group; EOF on stdin follows.
	signal.Ignore(os.Interrupt)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(err)
	}
	start := time.Now()
	pid, pidfd, err := c.start()
	if err != nil {
		return fail(err)
	}
	fmt.Printf("started %d at %d\n", pid, start.UnixNano())
	go reap(pid)

	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if n, err := strconv.Atoi(in.Text()); err == nil {
			unix.PidfdSendSignal(pidfd, unix.Signal(n), nil, 0)
		}
	}
	for {
		left := Descendants(os.Getpid())
		if len(left) == 0 {
			return 0
		}
		for _, p := range left {
			unix.Kill(p.PID, unix.SIGKILL)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (c Command) start() (pid, pidfd int, err error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, 0, err
	}
	attr := &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   lastWins(c.Env),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{PidFD: &pidfd},
	}
	if c.UID != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: c.UID, Gid: c.UID}
		attr.Sys.AmbientCaps = c.Ambient
	}
	if c.NoLandlock {
		runtime.LockOSThread() // the command inherits the filter of this thread
		if err := denyLandlock(); err != nil {
			return 0, 0, err
		}
	}
	pid, err = syscall.ForkExec(c.Args[0], c.Args, attr)
	return pid, pidfd, err
}

// denyLandlock installs a seccomp filter on the calling thread.
func denyLandlock() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LANDLOCK_CREATE_RULESET, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// reap waits for the command and its orphans, so that zombies do not count as
// processes.
func reap(pid int) {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if err == syscall.ECHILD {
			return
		}
		if got == pid {
			code := ws.ExitStatus()
			if ws.Signaled() {
				code = 128 + int(ws.Signal())
			}
			fmt.Printf("exited %d\n", code)
		}
	}
}

// Process is a process in /proc.
type Process struct {
	PID, PPID int
	Args      string
}

func (p Process) String() string { return fmt.Sprintf("%d (parent %d) %s", p.PID, p.PPID, p.Args) }

// Descendants returns the processes below pid.
func Descendants(pid int) []Process {
	children := map[int][]Process{}
	dirs, _ := os.ReadDir("/proc")
	for _, dir := range dirs {
		id, err := strconv.Atoi(dir.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + dir.Name() + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state ppid …", and the name may contain anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		ppid, _ := strconv.Atoi(fields[1])
		args, _ := os.ReadFile("/proc/" + dir.Name() + "/cmdline")
		children[ppid] = append(children[ppid], Process{id, ppid, strings.ReplaceAll(string(args), "\x00", " ")})
	}
	var all []Process
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0].PID]...)
	}
	return all
}

// lastWins removes variables that follow with another value.
func lastWins(env []string) []string {
	var list []string
	for i, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if !slices.ContainsFunc(env[i+1:], func(later string) bool { return strings.HasPrefix(later, name+"=") }) {
			list = append(list, entry)
		}
	}
	return list
}
