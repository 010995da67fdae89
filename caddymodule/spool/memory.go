package spool

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// sharedMax is how much memory all bodies together may take beside what
	// each is granted by itself.
	sharedMax = 16 << 20

	// sharedEach is the most of it that one body may have.
	sharedEach = 4 << 20

	blockSize = 64 << 10
)

// memory is what bodies have taken of a bounded amount.
type memory struct {
	max  int64
	used atomic.Int64
}

// sharedMemory is that of all pools.
var sharedMemory = memory{max: sharedMax}

type block [blockSize]byte

var freeBlocks = sync.Pool{New: func() any { return new(block) }}

// acquire returns nil where there is no room.
func (m *memory) acquire() *block {
	if m.used.Add(blockSize) > m.max {
		m.used.Add(-blockSize)
		return nil
	}
	return freeBlocks.Get().(*block)
}

func (m *memory) release(b *block) {
	freeBlocks.Put(b)
	m.used.Add(-blockSize)
}

// blocks are a body in memory.
type blocks struct {
	memory *memory
	list   []*block
	length int64
	offset int64 // where the next Read begins
}

// writable is where more of the body goes; nil if there is none.
func (k *blocks) writable() []byte {
	i := int(k.length / blockSize)
	if i == len(k.list) {
		if k.length >= sharedEach {
			return nil
		}
		b := k.memory.acquire()
		if b == nil {
			return nil
		}
		k.list = append(k.list, b)
	}
	return k.list[i][k.length%blockSize:]
}

// write reports whether there was room for all of p.
func (k *blocks) write(p []byte) bool {
	for len(p) > 0 {
		n := copy(k.writable(), p)
		if n == 0 {
			return false
		}
		k.length += int64(n)
		p = p[n:]
	}
	return true
}

// readFrom reads on to the end of the body, unless the room ends before. More than
// most bytes are refused (0: no limit).
func (k *blocks) readFrom(from io.Reader, maxBytes int64) (whole bool, err error) {
	for {
		buf := k.writable()
		if buf == nil {
			return false, nil
		}
		n, err := from.Read(buf)
		if k.length += int64(n); maxBytes > 0 && k.length > maxBytes {
			return false, maxBodyError(maxBytes)
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, readError(err)
		}
	}
}

// free gives the memory back.
func (k *blocks) free() {
	for _, b := range k.list {
		k.memory.release(b)
	}
	k.list, k.length = nil, 0
}

// unread is what comes next, in the block where that stands; there must be some.
func (k *blocks) unread() []byte {
	i := k.offset % blockSize
	return k.list[k.offset/blockSize][i:min(blockSize, i+k.length-k.offset)]
}

// Read implements io.Reader.
func (k *blocks) Read(p []byte) (int, error) {
	if k.offset >= k.length {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && k.offset < k.length {
		m := copy(p[n:], k.unread())
		n += m
		k.offset += int64(m)
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (k *blocks) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for k.offset < k.length {
		n, err := w.Write(k.unread())
		written += int64(n)
		k.offset += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Seek implements io.Seeker, but only goes to the start.
func (k *blocks) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	k.offset = 0
	return 0, nil
}
