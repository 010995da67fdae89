package phpstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// BlockedOn returns what the process waits for. conn is our end of its connection,
// which is reported as "the web server". Without the rights that Backtrace needs,
// BlockedOn only reports whether the process runs.
func BlockedOn(pid int, conn net.Conn) (Wait, error) {
	m := &processMemory{pid: pid}
	defer m.close()
	r := &waitReader{pid: pid, mem: m, connInode: socketInode(conn)}
	var w Wait
	err := procfs.Inspect(pid, func(string) (err error) {
		w, err = r.read()
		return err
	})
	if errors.Is(err, os.ErrPermission) {
		return r.readState()
	}
	return w, err
}

// waitReader reads what a process waits for.
type waitReader struct {
	pid       int
	mem       memory
	connInode uint64 // of our end of its connection; 0 if unknown
}

// callNames are the system calls in which scripts usually block, on every
// architecture; legacyCallNames are those that newer architectures do not have.
var callNames = map[uint64]string{
	unix.SYS_READ: "read", unix.SYS_PREAD64: "pread64", unix.SYS_READV: "readv",
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64", unix.SYS_WRITEV: "writev",
	unix.SYS_RECVFROM: "recvfrom", unix.SYS_RECVMSG: "recvmsg",
	unix.SYS_SENDTO: "sendto", unix.SYS_SENDMSG: "sendmsg",
	unix.SYS_CONNECT: "connect", unix.SYS_ACCEPT4: "accept4",
	unix.SYS_PPOLL: "ppoll", unix.SYS_PSELECT6: "pselect6", unix.SYS_EPOLL_PWAIT: "epoll_pwait",
	unix.SYS_FLOCK: "flock", unix.SYS_FCNTL: "fcntl", unix.SYS_FUTEX: "futex",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FTRUNCATE: "ftruncate",
	unix.SYS_NANOSLEEP: "nanosleep", unix.SYS_CLOCK_NANOSLEEP: "clock_nanosleep",
	unix.SYS_WAIT4: "wait4", unix.SYS_WAITID: "waitid",
	unix.SYS_OPENAT: "openat", unix.SYS_STATX: "statx", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_GETDENTS64: "getdents64",
	unix.SYS_MSGRCV: "msgrcv", unix.SYS_RESTART_SYSCALL: "restart_syscall",
}

// read reads the system call and its arguments (proc_pid_syscall(5)).
func (w *waitReader) read() (Wait, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", w.pid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Wait{}, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 7 { // "running", or "-1": blocked, but not in a system call
		return w.readState()
	}
	number, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return w.readState()
	}
	var args [6]uint64
	for i := range args {
		args[i], _ = strconv.ParseUint(fields[1+i], 0, 64) // hexadecimal
	}
	name := callNames[number]
	if name == "" {
		name = legacyCallNames[number]
	}
	if name == "" {
		return Wait{Call: "system call " + fields[0]}, nil
	}
	return Wait{Call: name, Target: w.target(name, args)}, nil
}

// readState reads whether the process runs, for which every user has the right
// (proc_pid_stat(5)), and if permitted the kernel function in which it sleeps.
func (w *waitReader) readState() (Wait, error) {
	stat, err := procfs.ReadStat(w.pid)
	if err != nil {
		return Wait{}, err
	}
	if stat.State == 'R' {
		return Wait{Call: "running"}, nil
	}
	wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", w.pid))
	if s := string(wchan); s != "0" {
		return Wait{Call: "sleeping", Target: s}, nil
	}
	return Wait{Call: "sleeping"}, nil
}

// target returns what a system call waits for, by its arguments.
func (w *waitReader) target(call string, args [6]uint64) string {
	switch call {
	case "connect":
		if addr := w.readSockaddr(args[1], args[2]); addr != "" {
			return addr
		}
		return w.describeFD(args[0])
	case "read", "pread64", "readv", "write", "pwrite64", "writev", "recvfrom", "recvmsg", "sendto", "sendmsg",
		"accept4", "flock", "fcntl", "fsync", "fdatasync", "ftruncate", "getdents64":
		return w.describeFD(args[0])
	case "poll", "ppoll":
		return w.describeFDs(w.pollFDs(args[0], args[1]))
	case "select", "pselect6":
		return w.describeFDs(append(w.selectFDs(args[0], args[1]), w.selectFDs(args[0], args[2])...))
	case "openat", "statx", "unlinkat", "newfstatat":
		return w.readPath(args[1])
	case "open", "stat", "lstat", "access":
		return w.readPath(args[0])
	case "wait4":
		return describeProcess(int32(args[0]))
	case "waitid":
		if args[0] == unix.P_PID {
			return describeProcess(int32(args[1]))
		}
	}
	return ""
}

// maxFiles is the maximum number of files in a Target.
const maxFiles = 3

// pollFDs reads the descriptors in an array of struct pollfd.
func (w *waitReader) pollFDs(at, n uint64) []uint64 {
	b := make([]byte, 8*min(n, maxFiles))
	if len(b) == 0 || w.mem.read(chunk{at, b}) != nil {
		return nil
	}
	var list []uint64
	for ; len(b) > 0; b = b[8:] {
		list = append(list, uint64(binary.NativeEndian.Uint32(b)))
	}
	return list
}

// selectFDs reads the first descriptors of an fd_set.
func (w *waitReader) selectFDs(n, at uint64) []uint64 {
	b := make([]byte, 8*((min(n, 1024)+63)/64)) // whole longs
	if at == 0 || len(b) == 0 || w.mem.read(chunk{at, b}) != nil {
		return nil
	}
	var list []uint64
	for i := 0; i < len(b) && len(list) < maxFiles; i += 8 {
		for set := binary.NativeEndian.Uint64(b[i:]); set != 0 && len(list) < maxFiles; set &= set - 1 {
			list = append(list, uint64(8*i+bits.TrailingZeros64(set)))
		}
	}
	return list
}

func (w *waitReader) describeFDs(list []uint64) string {
	var names []string
	for _, fd := range list[:min(len(list), maxFiles)] {
		if name := w.describeFD(fd); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// describeFD returns the file or the peer of a descriptor.
func (w *waitReader) describeFD(fd uint64) string {
	if int32(fd) < 0 {
		return ""
	}
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", w.pid, int32(fd)))
	if err != nil {
		return ""
	}
	if inode, ok := strings.CutPrefix(target, "socket:["); ok {
		return w.describeSocket(strings.TrimSuffix(inode, "]"))
	}
	if kind, _, ok := strings.Cut(target, ":["); ok {
		return kind // a pipe
	}
	return printable([]byte(target))
}

// readPath reads a path from the memory of the process.
func (w *waitReader) readPath(at uint64) string {
	b := make([]byte, 256)
	for len(b) > 0 && w.mem.read(chunk{at, b}) != nil {
		b = b[:len(b)/2] // the next page may not exist
	}
	return printable(b)
}

// describeProcess describes a process that is waited for; 0 and less mean any.
func describeProcess(pid int32) string {
	if pid <= 0 {
		return ""
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, printable([]byte(strings.TrimSpace(string(name)))))
}
