package phpstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Backtrace reads the stack of a process.
func (c *Cache) Backtrace(pid, depth int) ([]Frame, error) {
	binary, err := c.lookup(pid)
	if err != nil {
		return nil, describePermission(err)
	}
	bias, err := loadBias(pid, binary.entry)
	if err != nil {
		return nil, describePermission(err)
	}
	frames, err := binary.layout.backtrace(processMemory(pid), bias+binary.globals, depth)
	return frames, describePermission(err)
}

// explain says what is missing where we are not let.
func describePermission(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	return unsupported("the memory of the worker is not ours to read (%w): "+
		"that takes CAP_SYS_PTRACE where PHP runs as another user, and a kernel.yama.ptrace_scope below 2 "+
		"or CAP_SYS_PTRACE where it runs as Caddy does", err)
}

// atEntry is AT_ENTRY (include/uapi/linux/auxvec.h).
const atEntry = 9

// loadBias returns how far from the addresses in its file a process has its
// program: where it really begins is in what the kernel handed to it, getauxval(3).
func loadBias(pid int, entry uint64) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for ; len(data) >= 16; data = data[16:] {
		if binary.LittleEndian.Uint64(data) == atEntry {
			if bias := binary.LittleEndian.Uint64(data[8:]) - entry; bias%4096 == 0 {
				return bias, nil
			}
		}
	}
	return 0, ErrUnstable // it has ended, or has just become another program
}

// memory is that of a process.
type memory interface {
	// read fills the parts, all at once as far as that can be.
	read(parts ...chunk) error
}

// part is a piece of memory, and what is at its address.
type chunk struct {
	at uint64
	b  []byte
}

// remote is the memory of a process by its number.
type processMemory int

// read does not stop the process (process_vm_readv(2)).
func (r processMemory) read(parts ...chunk) error {
	local, there := make([]unix.Iovec, len(parts)), make([]unix.RemoteIovec, len(parts))
	want := 0
	for i, p := range parts {
		local[i].Base = &p.b[0]
		local[i].SetLen(len(p.b))
		there[i] = unix.RemoteIovec{Base: uintptr(p.at), Len: len(p.b)}
		want += len(p.b)
	}
	n, err := unix.ProcessVMReadv(int(r), local, there, 0)
	switch {
	case errors.Is(err, unix.EFAULT), err == nil && n < want:
		return ErrUnstable // no such address
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	default:
		return err
	}
}

const (
	// maxDepth bounds a backtrace, whatever is asked for.
	maxDepth = 256

	// maxTries is how often the stack is read until it stands still; each takes
	// some 100 microseconds.
	maxTries = 10

	// looks is how often it must be the same, and once more after the names were
	// read. Of 40,000 readings of a loop of calls, 456 had a call that was not
	// there with only that one look, 3 with two, none with four.
	stableReads = 8

	// maxString is how long a string may be that is taken for a name, and the
	// others what is shown of it.
	maxString   = 64 << 10
	maxFunction = 256
	maxFile     = 1024
)

// backtrace reads the stack from memory that changes meanwhile. A call that is
// the same at several looks has been there all the time, and so have those that
// called it. It is tried again to have the innermost ones too.
func (l layout) backtrace(m memory, globals uint64, depth int) ([]Frame, error) {
	var best []Frame
	for range maxTries {
		s := stack{m: m, current: globals + l.current, depth: min(depth, maxDepth)}
		frames, whole, err := l.attempt(&s)
		if err != nil && !errors.Is(err, ErrUnstable) {
			return nil, err
		}
		if whole && err == nil {
			return frames, nil
		}
		if len(frames) > len(best) {
			best = frames
		}
	}
	if len(best) == 0 {
		return nil, ErrUnstable
	}
	return best, nil
}

// attempt reads the stack once. whole says that it did not change; if it did,
// the frames are those that stayed.
func (l layout) attempt(s *stack) (frames []Frame, whole bool, err error) {
	if err := s.walk(); err != nil {
		return nil, false, err
	}
	for range stableReads {
		if err := s.reread(); err != nil {
			return nil, false, err
		}
	}
	named := make([]Frame, len(s.calls))
	for i := s.stable; i < len(s.calls); i++ {
		if named[i], err = l.frame(s.m, s.calls[i]); errors.Is(err, ErrUnstable) {
			s.stable = i + 1
		} else if err != nil {
			return nil, false, err
		}
	}
	if err := s.reread(); err != nil { // nothing that was named has gone meanwhile
		return nil, false, err
	}
	for i, f := range named[s.stable:] {
		if s.calls[s.stable+i].fn != 0 {
			frames = append(frames, f)
		}
	}
	return frames, s.stable == 0, nil
}

// frame reads what a call is.
func (l layout) frame(m memory, c call) (Frame, error) {
	if c.fn == 0 {
		return Frame{}, nil
	}
	head, err := readBytes(m, c.fn, funcHead)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Function: "{main}"}
	if name := binary.LittleEndian.Uint64(head[funcName:]); name != 0 {
		if f.Function, err = readString(m, name, maxFunction); err != nil {
			return Frame{}, err
		}
		if f.Function, err = qualifiedName(m, binary.LittleEndian.Uint64(head[funcScope:]), f.Function); err != nil {
			return Frame{}, err
		}
	}
	switch head[0] {
	case internalFunction:
		return f, nil
	case userFunction, evalCode:
	default:
		return Frame{}, ErrUnstable
	}
	code, err := readBytes(m, c.fn, int(l.filename)+pointerSize)
	if err != nil {
		return Frame{}, err
	}
	if f.File, err = readString(m, binary.LittleEndian.Uint64(code[l.filename:]), maxFile); err != nil {
		return Frame{}, err
	}
	f.Line, err = readLine(m, c.opline, binary.LittleEndian.Uint64(code[l.opcodes:]), binary.LittleEndian.Uint32(code[l.last:]))
	return f, err
}

// method puts the class before the name of a method.
func qualifiedName(m memory, class uint64, name string) (string, error) {
	if class == 0 {
		return name, nil
	}
	at, err := readPointer(m, class+className)
	if err != nil {
		return "", err
	}
	text, err := readString(m, at, maxFunction)
	return text + "::" + name, err
}

// readLine returns the line of an opcode of a function. An opcode that is none
// of its own stands for no line: the engine has some for itself, as while it
// looks for who catches an exception.
func readLine(m memory, opline, opcodes uint64, count uint32) (int, error) {
	if offset := opline - opcodes; offset%opcodeSize != 0 || offset/opcodeSize >= uint64(count) {
		return 0, nil
	}
	b, err := readBytes(m, opline+opcodeLine, 4)
	if err != nil {
		return 0, err
	}
	return int(binary.LittleEndian.Uint32(b) & (1<<31 - 1)), nil
}

func readPointer(m memory, at uint64) (uint64, error) {
	b, err := readBytes(m, at, pointerSize)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// readString reads a zend_string, limit bytes of it at most.
func readString(m memory, at uint64, limit int) (string, error) {
	b, err := readBytes(m, at, stringVal)
	if err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint64(b[stringLen:])
	if n == 0 || n > maxString {
		return "", ErrUnstable
	}
	if b, err = readBytes(m, at+stringVal, int(min(n, uint64(limit)))); err != nil {
		return "", err
	}
	text := printable(b)
	if n > uint64(limit) {
		text = strings.TrimRight(text, "\uFFFD") + "…"
	}
	return text, nil
}

// readBytes reads something that the engine has allocated, which it aligns.
func readBytes(m memory, at uint64, n int) ([]byte, error) {
	if at < 4096 || at%4 != 0 {
		return nil, ErrUnstable
	}
	b := make([]byte, n)
	return b, m.read(chunk{at, b})
}
