package spool

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// sharedMax limits the memory, in bytes, of all bodies that are larger than
	// the inMemory of Spool.Read.
	sharedMax = 16 << 20

	// sharedMaxPerBody limits the part of it that one body may use.
	sharedMaxPerBody = 4 << 20

	blockSize = 64 << 10
)

// memory is a limited amount of memory, allocated in blocks.
type memory struct {
	max  int64 // in bytes
	used atomic.Int64
}

// sharedMemory is shared by all pools.
var sharedMemory = memory{max: sharedMax}

type block [blockSize]byte

var freeBlocks = sync.Pool{New: func() any { return new(block) }}

// acquire returns a block, or nil if the limit is reached.
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

// blocks is a body in memory.
type blocks struct {
	memory *memory
	list   []*block
	length int64
	offset int64 // of the next Read
}

// writable returns the space for the next bytes of the body, or nil if the body may
// not use more memory.
func (k *blocks) writable() []byte {
	i := int(k.length / blockSize)
	if i == len(k.list) {
		if k.length >= sharedMaxPerBody {
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

// write appends p to the body and reports whether there was space for all of it.
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

// readFrom appends src to the body. complete is false if src did not fit. A body of
// more than maxBytes is a *TooLargeError; 0 is no limit.
func (k *blocks) readFrom(src io.Reader, maxBytes int64) (complete bool, err error) {
	for {
		buf := k.writable()
		if buf == nil {
			return false, nil
		}
		n, err := src.Read(buf)
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

// free releases the memory.
func (k *blocks) free() {
	for _, b := range k.list {
		k.memory.release(b)
	}
	k.list, k.length = nil, 0
}

// unread returns the bytes at offset, up to the end of their block. offset must be
// less than length.
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

// Seek implements io.Seeker, but can only seek to the start.
func (k *blocks) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	k.offset = 0
	return 0, nil
}
