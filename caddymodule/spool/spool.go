// Package spool reads request bodies completely before a worker is leased. A slow
// client then does not occupy a worker, and the length of the body, which PHP
// needs, is known.
//
// A small body is kept in memory. A larger one, of up to 4 MiB, is kept in memory
// shared by all pools, 16 MiB in total, if enough of it is free. All others are
// written to a temporary file, which has no name on Unix, so that nothing is left
// behind if Caddy is killed.
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

// Spool stores the request bodies of one pool. Its methods may be called
// concurrently.
type Spool struct {
	memory *memory

	dir        atomic.Pointer[string]
	maxInFiles atomic.Int64 // limit of used, in bytes; 0 is no limit
	used       atomic.Int64 // bytes in files
}

// New returns a Spool with the settings of [Spool.Configure].
func New(dir string, maxInFiles int64) *Spool {
	s := &Spool{memory: &sharedMemory}
	s.Configure(dir, maxInFiles)
	return s
}

// Configure sets the directory of new files, or the system's directory for
// temporary files if dir is empty, and the number of bytes that all files together
// may have; 0 is no limit.
func (s *Spool) Configure(dir string, maxInFiles int64) {
	s.dir.Store(&dir)
	s.maxInFiles.Store(max(0, maxInFiles))
}

// InFiles returns the number of bytes that are in files.
func (s *Spool) InFiles() int64 { return s.used.Load() }

// Body is a request body that was read completely. Its ReadSeeker is nil if the
// request has no body. The caller must call [Body.Free].
type Body struct {
	io.ReadSeeker
	Length int64 // in bytes
	free   func()
}

// Free releases the memory or the file of the body. It may be called more than
// once.
func (b *Body) Free() {
	if b.free != nil {
		b.free()
		b.free = nil
	}
}

// buffers hold small bodies.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPrealloc limits the memory that is allocated for a Content-Length before the
// body has arrived.
const maxPrealloc = 1 << 20

// Read reads the complete body of r. A body of up to inMemory bytes is always kept
// in memory. A body of more than maxBytes is rejected; 0 is no limit.
//
// The error is a [*TooLargeError], a [*FileError], or wraps the error of reading
// from the client.
func (s *Spool) Read(r *http.Request, inMemory, maxBytes int64) (Body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return Body{}, nil
	}
	return s.Take(r.Body, r.ContentLength, inMemory, maxBytes)
}

// Take is Read for a body that body returns. Its length is -1 if that is not known.
func (s *Spool) Take(body io.Reader, length, inMemory, maxBytes int64) (Body, error) {
	if maxBytes > 0 && length > maxBytes {
		return Body{}, maxBodyError(maxBytes)
	}
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	free := func() { buffers.Put(buf) }
	if length > 0 && length <= min(inMemory, maxPrealloc) {
		buf.Grow(int(length) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(body, inMemory+1))
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
	return s.store(buf, free, body, length, maxBytes)
}

// store stores a body that begins with head. It frees the buffer of head as early
// as possible, because the rest may take the client an hour.
func (s *Spool) store(head *bytes.Buffer, free func(), body io.Reader, length, maxBytes int64) (Body, error) {
	mem := &blocks{memory: s.memory}
	if length > sharedMaxPerBody || !mem.write(head.Bytes()) {
		mem.free()
		return s.spill(head, free, body, maxBytes)
	}
	free()
	complete, err := mem.readFrom(body, maxBytes)
	switch {
	case err != nil:
		mem.free()
		return Body{}, err
	case complete:
		return Body{mem, mem.length, mem.free}, nil
	}
	return s.spill(mem, mem.free, body, maxBytes)
}

// spill writes head and rest to a temporary file, and frees head.
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

// fileWriter writes to a file and enforces max_body and spool_max.
type fileWriter struct {
	spool    *Spool
	file     *os.File
	maxBytes int64 // limit of written; 0 is no limit
	written  int64
	err      error // not an error of the reader
}

// Write implements io.Writer.
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

// readError is the error of reading from the client.
func readError(err error) error { return fmt.Errorf("reading the request body: %w", err) }
