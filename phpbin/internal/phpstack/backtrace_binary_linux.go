package phpstack

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// Cache remembers what was found out about the files that workers run. That
// is one as a rule, and another after an upgrade of the package.
type Cache struct {
	mu      sync.Mutex
	entries map[fileID]binaryInfo
}

type fileID struct {
	device, inode uint64
	size, changed int64
}

// program is what a file says of the processes that run it: addresses are those
// of the file, to which is added where it was loaded.
type binaryInfo struct {
	entry   uint64 // where it begins
	globals uint64 // zend_executor_globals
	layout  layout
	err     error // why it is of no use
}

// of returns the program that a process runs.
func (c *Cache) lookup(pid int) (binaryInfo, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return binaryInfo{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return binaryInfo{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return binaryInfo{}, errors.ErrUnsupported
	}
	id := fileID{uint64(st.Dev), st.Ino, st.Size, info.ModTime().UnixNano()} //nolint:unconvert // not a uint64 everywhere
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.entries[id]
	if !ok {
		if p, err = readBinary(f, st); err != nil {
			p.err = err
		}
		if c.entries == nil || len(c.entries) >= 16 {
			c.entries = map[fileID]binaryInfo{}
		}
		c.entries[id] = p
	}
	return p, p.err
}

// readBinary reads the symbols of a program. A script can make its worker
// another program (pcntl_exec): one that it may have written itself is not read.
func readBinary(file *os.File, st *syscall.Stat_t) (binaryInfo, error) {
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return binaryInfo{}, unsupported("the program of the worker belongs to user %d, not to root nor to us", st.Uid)
	}
	return parseBinary(file)
}

func parseBinary(file io.ReaderAt) (binaryInfo, error) {
	f, err := elf.NewFile(file)
	if err != nil {
		return binaryInfo{}, unsupported("the program of the worker is not understood: %w", err)
	}
	l, err := layoutOf(f)
	if err != nil {
		return binaryInfo{}, err
	}
	symbols, err := f.DynamicSymbols() // those that extensions need, which strip leaves
	if err != nil {
		return binaryInfo{}, unsupported("the symbols of php-cgi are not understood: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "executor_globals" && s.Section != elf.SHN_UNDEF && s.Size >= l.current+pointerSize {
			return binaryInfo{entry: f.Entry, globals: s.Value, layout: l}, nil
		}
	}
	return binaryInfo{}, unsupported("php-cgi does not export executor_globals")
}
