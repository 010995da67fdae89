package spool

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// sharedMost is how much memory all bodies together may take beside what
	// each is granted by itself.
	sharedMost = 16 << 20

	// sharedEach is the most of it that one body may have.
	sharedEach = 4 << 20

	blockSize = 64 << 10
)

// memory is what bodies have taken of a bounded amount.
type memory struct {
	most  int64
	inUse atomic.Int64
}

// shared is that of all pools.
var shared = memory{most: sharedMost}

type block [blockSize]byte

var freeBlocks = sync.Pool{New: func() any { return new(block) }}

// take returns nil where there is no room.
func (m *memory) take() *block {
	if m.inUse.Add(blockSize) > m.most {
		m.inUse.Add(-blockSize)
		return nil
	}
	return freeBlocks.Get().(*block)
}

func (m *memory) give(b *block) {
	freeBlocks.Put(b)
	m.inUse.Add(-blockSize)
}

// blocks are a body in memory.
type blocks struct {
	memory *memory
	list   []*block
	length int64
	at     int64 // where the next Read begins
}

// room is where more of the body goes; nil if there is none.
func (k *blocks) room() []byte {
	i := int(k.length / blockSize)
	if i == len(k.list) {
		if k.length >= sharedEach {
			return nil
		}
		b := k.memory.take()
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
		n := copy(k.room(), p)
		if n == 0 {
			return false
		}
		k.length += int64(n)
		p = p[n:]
	}
	return true
}

// fill reads on to the end of the body, unless the room ends before. More than
// most bytes are refused (0: no limit).
func (k *blocks) fill(from io.Reader, most int64) (whole bool, err error) {
	for {
		room := k.room()
		if room == nil {
			return false, nil
		}
		n, err := from.Read(room)
		if k.length += int64(n); most > 0 && k.length > most {
			return false, overMaxBody(most)
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, unread(err)
		}
	}
}

// free gives the memory back.
func (k *blocks) free() {
	for _, b := range k.list {
		k.memory.give(b)
	}
	k.list, k.length = nil, 0
}

// next is what comes next, in the block where that stands; there must be some.
func (k *blocks) next() []byte {
	i := k.at % blockSize
	return k.list[k.at/blockSize][i:min(blockSize, i+k.length-k.at)]
}

// Read implements io.Reader.
func (k *blocks) Read(p []byte) (int, error) {
	if k.at >= k.length {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && k.at < k.length {
		m := copy(p[n:], k.next())
		n += m
		k.at += int64(m)
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (k *blocks) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for k.at < k.length {
		n, err := w.Write(k.next())
		written += int64(n)
		k.at += int64(n)
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
	k.at = 0
	return 0, nil
}
