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

	dir atomic.Pointer[string]
	max atomic.Int64 // bytes in files at a time, 0 for no limit
	// inUse is what all bodies in files hold now.
	inUse atomic.Int64
}

// New returns a Spool; dir and most are those of [Spool.Configure].
func New(dir string, most int64) *Spool {
	s := &Spool{memory: &shared}
	s.Configure(dir, most)
	return s
}

// Configure sets the directory of files to come, that for temporary files if it
// is empty, and how many bytes there may be in files at a time; 0 is no limit.
func (s *Spool) Configure(dir string, most int64) {
	s.dir.Store(&dir)
	s.max.Store(max(0, most))
}

// InFiles is how many bytes are in files now.
func (s *Spool) InFiles() int64 { return s.inUse.Load() }

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

// maxGrow is up to which length a client is believed before it has sent it.
const maxGrow = 1 << 20

// Take reads the whole body of r. Up to inMemory bytes of it stay in memory
// whatever others have there; more than most bytes are refused (0: no limit).
//
// The error is a [*TooLargeError] or a [*FileError], or else the client's: the
// body could not be read.
func (s *Spool) Take(r *http.Request, inMemory, most int64) (Body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return Body{}, nil
	}
	if most > 0 && r.ContentLength > most {
		return Body{}, overMaxBody(most)
	}
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	free := func() { buffers.Put(buf) }
	if r.ContentLength > 0 && r.ContentLength <= min(inMemory, maxGrow) {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, inMemory+1))
	switch {
	case err != nil:
		free()
		return Body{}, unread(err)
	case most > 0 && n > most:
		free()
		return Body{}, overMaxBody(most)
	case n == 0:
		free()
		return Body{}, nil
	case n <= inMemory:
		return Body{bytes.NewReader(buf.Bytes()), n, free}, nil
	}
	return s.keep(buf, free, r, most)
}

// keep keeps a body that begins with head. The head's buffer is free at once:
// the rest may take its client an hour.
func (s *Spool) keep(head *bytes.Buffer, free func(), r *http.Request, most int64) (Body, error) {
	kept := &blocks{memory: s.memory}
	if r.ContentLength > sharedEach || !kept.write(head.Bytes()) {
		kept.free()
		return s.toFile(head, free, r.Body, most)
	}
	free()
	whole, err := kept.fill(r.Body, most)
	switch {
	case err != nil:
		kept.free()
		return Body{}, err
	case whole:
		return Body{kept, kept.length, kept.free}, nil
	}
	return s.toFile(kept, kept.free, r.Body, most)
}

// toFile keeps what begins with head, which is then free, in a temporary file.
func (s *Spool) toFile(head io.WriterTo, free func(), rest io.Reader, most int64) (Body, error) {
	f, err := tempFile(*s.dir.Load())
	if err != nil {
		free()
		return Body{}, fileError(err)
	}
	w := &fileWriter{spool: s, file: f, most: most}
	_, err = head.WriteTo(w)
	free()
	if err == nil {
		_, err = io.Copy(w, rest)
	}
	if err == nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			w.failed = fileError(err)
		}
	}
	done := func() {
		s.inUse.Add(-w.held)
		discardFile(f)
	}
	switch {
	case w.failed != nil:
		done()
		return Body{}, w.failed
	case err != nil:
		done()
		return Body{}, unread(err)
	}
	return Body{f, w.held, done}, nil
}

// fileWriter counts what goes to the file against both limits.
type fileWriter struct {
	spool  *Spool
	file   *os.File
	most   int64
	held   int64
	failed error
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n := int64(len(p))
	if w.most > 0 && w.held+n > w.most {
		w.failed = overMaxBody(w.most)
		return 0, w.failed
	}
	w.held += n
	if limit := w.spool.max.Load(); w.spool.inUse.Add(n) > limit && limit > 0 {
		w.failed = &TooLargeError{"spool_max", limit}
		return 0, w.failed
	}
	written, err := w.file.Write(p)
	if err != nil {
		w.failed = fileError(err)
	}
	return written, err
}

func unread(err error) error { return fmt.Errorf("reading the request body: %w", err) }
