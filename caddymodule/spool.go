package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
)

// spool takes request bodies in before a worker is leased, so that a slow
// client never holds one, and so that the length is known, which PHP needs.
// Small bodies stay in memory, and larger ones where there is room in what all
// share; else they go to a file without a name.
type spool struct {
	memory *memory

	dir atomic.Pointer[string]
	max atomic.Int64 // bytes in files at a time, 0 for no limit
	// inUse is what all bodies in files hold now.
	inUse atomic.Int64
}

func newSpool(o *PoolOptions) *spool {
	s := &spool{memory: &bodyMemory}
	s.configure(o)
	return s
}

// configure takes over the options of a new config.
func (s *spool) configure(o *PoolOptions) {
	dir := o.SpoolDir
	s.dir.Store(&dir)
	s.max.Store(max(0, o.SpoolMax))
}

// body is a request body that is completely here.
type body struct {
	io.ReadSeeker
	length int64
	done   func()
}

// noBody is what a request without one has.
var noBody = body{done: func() {}}

// buffers hold small bodies.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxGrow is up to which length a client is believed before it has sent it.
const maxGrow = 1 << 20

// take reads the whole body of r. Up to inMemory bytes of it stay in memory;
// more than most bytes are refused with 413 (0: no limit).
func (s *spool) take(r *http.Request, inMemory, most int64) (body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return noBody, nil
	}
	if most > 0 && r.ContentLength > most {
		return noBody, tooLarge("max_body", most)
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
		return noBody, bodyError(err)
	case most > 0 && n > most:
		free()
		return noBody, tooLarge("max_body", most)
	case n <= inMemory:
		if n == 0 {
			free()
			return noBody, nil
		}
		return body{bytes.NewReader(buf.Bytes()), n, free}, nil
	}
	return s.keep(buf, free, r, most)
}

// keep keeps a body that begins with head. The head's buffer is free at once:
// the rest may take its client an hour.
func (s *spool) keep(head *bytes.Buffer, free func(), r *http.Request, most int64) (body, error) {
	kept := &blocks{memory: s.memory}
	if r.ContentLength > bodyShare || !kept.write(head.Bytes()) {
		kept.free()
		return s.toFile(head, free, r.Body, most)
	}
	free()
	whole, err := kept.fill(r.Body, most)
	switch {
	case err != nil:
		kept.free()
		return noBody, err
	case whole:
		return body{kept, kept.length, kept.free}, nil
	}
	return s.toFile(kept, kept.free, r.Body, most)
}

// toFile keeps what begins with head, which is then free, in a temporary file.
func (s *spool) toFile(head io.WriterTo, free func(), rest io.Reader, most int64) (body, error) {
	f, err := tempFile(*s.dir.Load())
	if err != nil {
		free()
		return noBody, fileError(err)
	}
	w := &spoolWriter{spool: s, file: f, most: most}
	_, err = head.WriteTo(w)
	free()
	if err == nil {
		_, err = io.Copy(w, rest)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	done := func() {
		s.inUse.Add(-w.held)
		discardFile(f)
	}
	if err != nil {
		done()
		if w.failed != nil {
			return noBody, w.failed
		}
		return noBody, bodyError(err)
	}
	return body{f, w.held, done}, nil
}

// spoolWriter counts what goes to the file against both limits.
type spoolWriter struct {
	spool  *spool
	file   *os.File
	most   int64
	held   int64
	failed error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n := int64(len(p))
	if w.most > 0 && w.held+n > w.most {
		w.failed = tooLarge("max_body", w.most)
		return 0, w.failed
	}
	w.held += n
	if limit := w.spool.max.Load(); w.spool.inUse.Add(n) > limit && limit > 0 {
		w.failed = tooLarge("spool_max", limit)
		return 0, w.failed
	}
	written, err := w.file.Write(p)
	if err != nil {
		w.failed = fileError(err)
	}
	return written, err
}

func tooLarge(option string, limit int64) error {
	return caddyhttp.Error(http.StatusRequestEntityTooLarge,
		fmt.Errorf("the request body is larger than %s (%s) allows", option, humanize.IBytes(uint64(limit))))
}

// fileError is what the client gets when a body cannot be kept.
func fileError(err error) error {
	status := http.StatusInternalServerError
	if errors.Is(err, syscall.ENOSPC) {
		status = http.StatusInsufficientStorage
	}
	return caddyhttp.Error(status, fmt.Errorf("keeping the request body: %w", err))
}

// bodyError is what the client gets when its body could not be read: what an
// earlier handler (request_body) said, or 400.
func bodyError(err error) error {
	if _, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return caddyhttp.Error(http.StatusRequestEntityTooLarge, err)
	}
	if errors.Is(err, context.Canceled) {
		return caddyhttp.Error(statusClientClosed, err)
	}
	return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading the request body: %w", err))
}
