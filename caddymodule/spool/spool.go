// Package spool takes request bodies in before a worker is leased, so that a
// slow client never holds one, and so that the length is known, which PHP needs.
//
// Small bodies stay in memory, and larger ones where there is room in what all
// share; else they go to a file without a name. That one costs more than the
// copy of a megabyte from the client to PHP, even where it never reaches the
// disk: of what Caddy computes for an upload of 1 MB to ext4 with 16 clients,
// writing it was 40 %, closing it 12 %.
package spool

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// Spool is where the request bodies of one pool are kept.
type Spool struct {
	memory *memory

	dir        atomic.Pointer[string]
	maxInFiles atomic.Int64 // bytes in files at a time, 0 for no limit
	// used is what all bodies in files hold now.
	used atomic.Int64
}

// New returns a Spool; dir and most are those of [Spool.Configure].
func New(dir string, maxBytes int64) *Spool {
	s := &Spool{memory: &sharedMemory}
	s.Configure(dir, maxBytes)
	return s
}

// Configure sets the directory of files to come, that for temporary files if it
// is empty, and how many bytes there may be in files at a time; 0 is no limit.
func (s *Spool) Configure(dir string, maxBytes int64) {
	s.dir.Store(&dir)
	s.maxInFiles.Store(max(0, maxBytes))
}

// InFiles is how many bytes are in files now.
func (s *Spool) InFiles() int64 { return s.used.Load() }

// Body is a request body that is completely here; without a reader where the
// request has none. It must be freed.
type Body struct {
	io.ReadSeeker
	Length int64
	free   func()
}

// Free gives back what the body takes up. It may be called twice.
func (b *Body) Free() {
	if b.free != nil {
		b.free()
		b.free = nil
	}
}

// buffers hold small bodies.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPrealloc is up to which length a client is believed before it has sent it.
const maxPrealloc = 1 << 20

// Read reads the whole body of r. Up to inMemory bytes of it stay in memory
// whatever others have there; more than most bytes are refused (0: no limit).
//
// The error is a [*TooLargeError] or a [*FileError], or else the client's: the
// body could not be read.
func (s *Spool) Read(r *http.Request, inMemory, maxBytes int64) (Body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return Body{}, nil
	}
	if maxBytes > 0 && r.ContentLength > maxBytes {
		return Body{}, maxBodyError(maxBytes)
	}
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	free := func() { buffers.Put(buf) }
	if r.ContentLength > 0 && r.ContentLength <= min(inMemory, maxPrealloc) {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, inMemory+1))
	switch {
	case err != nil:
		free()
		return Body{}, readError(err)
	case maxBytes > 0 && n > maxBytes:
		free()
		return Body{}, maxBodyError(maxBytes)
	case n == 0:
		free()
		return Body{}, nil
	case n <= inMemory:
		return Body{bytes.NewReader(buf.Bytes()), n, free}, nil
	}
	return s.store(buf, free, r, maxBytes)
}

// store keeps a body that begins with head. The head's buffer is free at once:
// the rest may take its client an hour.
func (s *Spool) store(head *bytes.Buffer, free func(), r *http.Request, maxBytes int64) (Body, error) {
	mem := &blocks{memory: s.memory}
	if r.ContentLength > sharedEach || !mem.write(head.Bytes()) {
		mem.free()
		return s.spill(head, free, r.Body, maxBytes)
	}
	free()
	whole, err := mem.readFrom(r.Body, maxBytes)
	switch {
	case err != nil:
		mem.free()
		return Body{}, err
	case whole:
		return Body{mem, mem.length, mem.free}, nil
	}
	return s.spill(mem, mem.free, r.Body, maxBytes)
}

// spill keeps what begins with head, which is then free, in a temporary file.
func (s *Spool) spill(head io.WriterTo, free func(), rest io.Reader, maxBytes int64) (Body, error) {
	f, err := tempFile(*s.dir.Load())
	if err != nil {
		free()
		return Body{}, fileError(err)
	}
	w := &fileWriter{spool: s, file: f, maxBytes: maxBytes}
	_, err = head.WriteTo(w)
	free()
	if err == nil {
		_, err = io.Copy(w, rest)
	}
	if err == nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			w.err = fileError(err)
		}
	}
	discard := func() {
		s.used.Add(-w.written)
		discardFile(f)
	}
	switch {
	case w.err != nil:
		discard()
		return Body{}, w.err
	case err != nil:
		discard()
		return Body{}, readError(err)
	}
	return Body{f, w.written, discard}, nil
}

// fileWriter counts what goes to the file against both limits.
type fileWriter struct {
	spool    *Spool
	file     *os.File
	maxBytes int64
	written  int64
	err      error
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n := int64(len(p))
	if w.maxBytes > 0 && w.written+n > w.maxBytes {
		w.err = maxBodyError(w.maxBytes)
		return 0, w.err
	}
	w.written += n
	if limit := w.spool.maxInFiles.Load(); w.spool.used.Add(n) > limit && limit > 0 {
		w.err = &TooLargeError{"spool_max", limit}
		return 0, w.err
	}
	written, err := w.file.Write(p)
	if err != nil {
		w.err = fileError(err)
	}
	return written, err
}

func readError(err error) error { return fmt.Errorf("reading the request body: %w", err) }
