package fastcgi

import (
	"io"
	"os"
	"sync/atomic"
)

// maxStored limits the length of a body, in bytes, that is written to the file of
// php://input, because that cannot be interrupted.
const maxStored = 16 << 20

// workerInput is the file in which PHP keeps the body of a request for php://input. A
// worker script has the same one for all its requests. When we write the body into it,
// PHP neither receives nor copies it, which halves what a large body costs PHP.
type workerInput struct {
	open   func(descriptor int) (*os.File, error) // may be nil
	file   atomic.Pointer[os.File]                // nil until the script has told which one it is
	stored bool                                   // the file has the body of the current request
	closed atomic.Bool                            // no other file may be opened
}

// opened is called at the end of a request in which the script has said which of its
// descriptors the file is.
func (i *workerInput) opened(descriptor int) {
	if i.open == nil {
		return
	}
	if f, err := i.open(descriptor); err == nil { // else STDIN records do
		i.replace(f)
		if i.closed.Load() { // meanwhile
			i.replace(nil)
		}
	}
}

// close may be called at any time, from any goroutine.
func (i *workerInput) close() {
	i.closed.Store(true)
	i.replace(nil)
}

func (i *workerInput) replace(by *os.File) {
	if f := i.file.Swap(by); f != nil {
		_ = f.Close() // what is in it belongs to PHP
	}
}

// clear removes a body whose request was not sent. The next request may have none.
func (i *workerInput) clear() {
	if f := i.file.Load(); f != nil && i.stored {
		_ = f.Truncate(0) // if it is closed, the connection is, too
	}
	i.stored = false
}

// store writes the body of r to the file, if there is one, and adds the record that says
// so. If that fails, the body is sent.
func (w *workerState) store(r *Request) (stored bool, err error) {
	if w == nil || r.StreamBody || r.ContentLength > maxStored {
		return false, nil
	}
	f := w.input.file.Load()
	if f == nil {
		return false, nil
	}
	w.input.stored, r.consumed = true, true
	n, err := f.Seek(0, io.SeekStart)
	if err == nil {
		n, err = io.Copy(f, r.Body)
	}
	if err != nil || n != r.ContentLength {
		w.input.clear()
		if err := r.Rewind(); err != nil {
			return false, &BodyError{err}
		}
		return false, nil
	}
	r.buf = appendHeader(r.buf, typeStored, requestID, 0)
	return true, nil
}
