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

// Cache caches what Backtrace needs to know about the binaries of processes: usually
// one, and another one after an upgrade of the package. The zero Cache is empty and
// ready for use.
type Cache struct {
	mu      sync.Mutex
	entries map[fileID]binaryInfo
}

type fileID struct {
	device, inode uint64
	size, changed int64
}

// binaryInfo describes a binary. Addresses are those in the file; loadBias gives the
// difference to those in a process.
type binaryInfo struct {
	entry   uint64 // the entry point
	globals uint64 // zend_executor_globals
	layout  layout
	err     error // why it does not support backtraces
}

// lookup returns the binary that a process runs.
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

// readBinary reads the symbols of a binary. A script can make its worker execute
// another program (pcntl_exec), which it may have written itself; so the file must
// belong to root or to our user.
func readBinary(file *os.File, st *syscall.Stat_t) (binaryInfo, error) {
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return binaryInfo{}, unsupported("the program of the worker belongs to user %d: it must belong to root or to the user that Caddy runs as", st.Uid)
	}
	return parseBinary(file)
}

func parseBinary(file io.ReaderAt) (binaryInfo, error) {
	f, err := elf.NewFile(file)
	if err != nil {
		return binaryInfo{}, unsupported("cannot parse the program of the worker: %w", err)
	}
	l, err := layoutOf(f)
	if err != nil {
		return binaryInfo{}, err
	}
	symbols, err := f.DynamicSymbols() // needed by extensions, so strip keeps them
	if err != nil {
		return binaryInfo{}, unsupported("cannot parse the symbols of php-cgi: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "executor_globals" && s.Section != elf.SHN_UNDEF && s.Size >= l.current+pointerSize {
			return binaryInfo{entry: f.Entry, globals: s.Value, layout: l}, nil
		}
	}
	return binaryInfo{}, unsupported("php-cgi does not export executor_globals")
}
