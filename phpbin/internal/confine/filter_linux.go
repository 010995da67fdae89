package confine

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock checks connect(2) on TCP sockets (hook_socket_connect in
// security/landlock/net.c). A connection can also be made by a socket of another kind
// that speaks TCP, and by data that opens it (TCP Fast Open). The filter denies these:
//
//   - sockets of Multipath TCP, which every user can open, and of SMC (AF_SMC)
//   - MSG_FASTOPEN of sendto(2), sendmsg(2) and sendmmsg(2)
//   - io_uring, in which the same calls are not seen
//
// Programs fall back to TCP, connect(2) and ordinary system calls.
//
// Unless ports alone are denied, it also denies the resource limits of other processes
// (prlimit(2)): a limit of processor time of 1 s makes the kernel kill them, which Landlock's
// rule for signals does not prevent.
type check struct {
	call  uint32
	arg   int    // the argument to look at, or anyCall
	value uint32 // it is equal to
	mask  uint32 // or, if not 0, has one of these bits
	errno unix.Errno
}

const anyCall = -1

// calls are the numbers of system calls, which differ between architectures; 0 if an architecture lacks it.
type calls struct {
	arch                                                 uint32
	socket, sendto, sendmsg, sendmmsg, ioUring, multiple uint32
	prlimit                                              uint32
}

// compat are the calls of 32-bit programs.
var compat = map[string]calls{
	"amd64": {arch: unix.AUDIT_ARCH_I386, socket: 359, sendto: 369, sendmsg: 370, sendmmsg: 345, ioUring: 425, multiple: 102, prlimit: 340},
	"arm64": {arch: unix.AUDIT_ARCH_ARM, socket: 281, sendto: 290, sendmsg: 296, sendmmsg: 374, ioUring: 425, prlimit: 369},
}

var native = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64,
	"loong64": unix.AUDIT_ARCH_LOONGARCH64,
}

func (c calls) checks(onlyPorts bool) []check {
	const smc = 43 // AF_SMC
	var list []check
	if !onlyPorts {
		list = append(list, check{call: c.prlimit, arg: 0, mask: math.MaxUint32, errno: unix.EPERM}) // 0 is the calling process
	}
	list = append(list, []check{
		{call: c.socket, arg: 2, value: unix.IPPROTO_MPTCP, errno: unix.EPROTONOSUPPORT},
		{call: c.socket, arg: 0, value: smc, errno: unix.EAFNOSUPPORT},
		{call: c.sendto, arg: 3, mask: unix.MSG_FASTOPEN, errno: unix.EOPNOTSUPP},
		{call: c.sendmsg, arg: 2, mask: unix.MSG_FASTOPEN, errno: unix.EOPNOTSUPP},
		{call: c.sendmmsg, arg: 3, mask: unix.MSG_FASTOPEN, errno: unix.EOPNOTSUPP},
		{call: c.ioUring, arg: anyCall, errno: unix.ENOSYS},
	}...)
	if c.multiple != 0 { // socketcall(2) has its arguments in memory; glibc falls back to it only before Linux 4.3
		list = append(list, check{call: c.multiple, arg: anyCall, errno: unix.ENOSYS})
	}
	return list
}

// Offsets in struct seccomp_data.
const (
	dataCall = 0
	dataArch = 4
	dataArgs = 16
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// skipUnless skips n instructions unless the condition holds.
func skipUnless(condition uint16, k uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | condition | unix.BPF_K, K: k, Jf: n}
}

func ret(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

// program returns the checks of one architecture, at whose end calls are allowed.
func (c calls) program(onlyPorts bool) []unix.SockFilter {
	var p []unix.SockFilter
	if c.arch == unix.AUDIT_ARCH_X86_64 {
		const x32 = 1 << 30 // the same calls with this bit
		p = append(p, load(dataCall), skipUnless(unix.BPF_JSET, x32, 1), ret(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	for _, k := range c.checks(onlyPorts) {
		deny := ret(unix.SECCOMP_RET_ERRNO | uint32(k.errno))
		if k.arg == anyCall {
			p = append(p, load(dataCall), skipUnless(unix.BPF_JEQ, k.call, 1), deny)
			continue
		}
		condition, value := uint16(unix.BPF_JEQ), k.value
		if k.mask != 0 {
			condition, value = unix.BPF_JSET, k.mask
		}
		p = append(p, load(dataCall), skipUnless(unix.BPF_JEQ, k.call, 3), load(lowWord(k.arg)), skipUnless(condition, value, 1), deny)
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// lowWord returns the offset of the lower half of an argument: these are int.
func lowWord(arg int) uint32 {
	at := uint32(dataArgs + 8*arg)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // big endian
		at += 4
	}
	return at
}

// filter returns the program for this architecture; nil if it is not known.
func filter(onlyPorts bool) []unix.SockFilter {
	arch, ok := native[runtime.GOARCH]
	if !ok {
		return nil
	}
	own := calls{
		arch: arch, socket: unix.SYS_SOCKET, sendto: unix.SYS_SENDTO, sendmsg: unix.SYS_SENDMSG, sendmmsg: unix.SYS_SENDMMSG,
		ioUring: unix.SYS_IO_URING_SETUP, prlimit: unix.SYS_PRLIMIT64,
	}.program(onlyPorts)
	p := append([]unix.SockFilter{load(dataArch), skipUnless(unix.BPF_JEQ, arch, uint8(len(own)))}, own...)
	if other, ok := compat[runtime.GOARCH]; ok {
		theirs := other.program(onlyPorts)
		p = append(p, skipUnless(unix.BPF_JEQ, other.arch, uint8(len(theirs)))) // the architecture is still loaded
		p = append(p, theirs...)
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW)) // an architecture that this machine cannot run
}

// installFilter installs the filter on the calling thread, which must have
// no_new_privs. It fails with errors.ErrUnsupported on an unknown architecture.
func installFilter(onlyPorts bool) error {
	p := filter(onlyPorts)
	if p == nil {
		return errors.ErrUnsupported
	}
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl(PR_SET_SECCOMP)", errno)
	}
	return nil
}
