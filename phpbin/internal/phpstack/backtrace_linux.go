package phpstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// Backtrace returns the stack of the script that a process runs: the innermost call
// first, at most depth frames, none if no PHP code runs. The error is ErrUnstable if
// the stack changed on every attempt, and wraps errors.ErrUnsupported if a backtrace
// is not possible.
func (c *Cache) Backtrace(pid, depth int) (frames []Frame, err error) {
	err = procfs.Inspect(pid, func(string) (err error) {
		frames, err = c.backtrace(pid, depth)
		return err
	})
	return frames, describePermission(err)
}

func (c *Cache) backtrace(pid, depth int) ([]Frame, error) {
	binary, err := c.lookup(pid)
	if err != nil {
		return nil, err
	}
	bias, err := loadBias(pid, binary.entry)
	if err != nil {
		return nil, err
	}
	m := &processMemory{pid: pid}
	defer m.close()
	return binary.layout.backtrace(m, bias+binary.globals, depth)
}

// describePermission explains a permission error.
func describePermission(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	return unsupported("reading the memory of the worker is not permitted (%w): "+
		"if PHP runs as another user than Caddy, Caddy needs CAP_SYS_PTRACE or CAP_SETUID; "+
		"otherwise kernel.yama.ptrace_scope must be below 2, or Caddy needs CAP_SYS_PTRACE", err)
}

// atEntry is AT_ENTRY (include/uapi/linux/auxvec.h).
const atEntry = 9

// loadBias returns the difference between the addresses in a process and those in
// its binary, by the entry point that the kernel has passed to it (getauxval(3)).
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
	return 0, ErrUnstable // it has exited, or has just executed another program
}

// memory is the memory of a process.
type memory interface {
	// read fills the chunks, as close to atomically as possible.
	read(chunks ...chunk) error
}

// chunk is a range of memory: its address, and its content.
type chunk struct {
	addr uint64
	b    []byte
}

const (
	// maxDepth is the maximum number of frames.
	maxDepth = 256

	// maxTries is the number of attempts to read a stack that does not change; each
	// takes some 100 µs.
	maxTries = 10

	// stableReads is how often the stack is read again to find out which calls stay;
	// it is read once more after the names. Of 40,000 backtraces of a loop of calls,
	// 456 contained a call that was not there with 0 of these reads, 3 with 1, none
	// with 3.
	stableReads = 8

	// maxString is the maximum length of a string that is accepted as a name. It is
	// cut to maxFunction or maxFile bytes.
	maxString   = 64 << 10
	maxFunction = 256
	maxFile     = 1024
)

// backtrace reads the stack from memory that changes meanwhile. If a call is the same
// in several reads, it was there all the time, and so were its callers. It retries to
// get the innermost calls too.
func (l layout) backtrace(m memory, globals uint64, depth int) ([]Frame, error) {
	var best []Frame
	for range maxTries {
		s := stack{m: m, current: globals + l.current, depth: min(depth, maxDepth)}
		frames, complete, err := l.attempt(&s)
		if err != nil && !errors.Is(err, ErrUnstable) {
			return nil, err
		}
		if complete && err == nil {
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

// attempt reads the stack. complete reports whether it did not change; otherwise the
// frames are those that stayed.
func (l layout) attempt(s *stack) (frames []Frame, complete bool, err error) {
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
	if err := s.reread(); err != nil { // calls whose names were read must still be there
		return nil, false, err
	}
	for i, f := range named[s.stable:] {
		if s.calls[s.stable+i].fn != 0 {
			frames = append(frames, f)
		}
	}
	return frames, s.stable == 0, nil
}

// frame reads the names and the line of a call.
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

// qualifiedName returns the name of a method with its class.
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

// readLine returns the line of an opcode of a function, or 0 if the opcode is not
// one of the function: the engine has its own, as for exceptions.
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

// readString reads at most limit bytes of a zend_string.
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

// readBytes reads from an address that the engine has allocated, and so aligned.
func readBytes(m memory, at uint64, n int) ([]byte, error) {
	if at < 4096 || at%4 != 0 {
		return nil, ErrUnstable
	}
	b := make([]byte, n)
	return b, m.read(chunk{at, b})
}
