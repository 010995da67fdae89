package spool

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// requestWith returns a request with this body, with a Content-Length or without.
func requestWith(content string, lengthKnown bool) *http.Request {
	var r io.Reader = strings.NewReader(content)
	if !lengthKnown {
		r = &emptyReads{r: iotest.HalfReader(r)}
	}
	req := httptest.NewRequest(http.MethodPost, "/", r)
	return req
}

// emptyReads returns 0, nil from every other Read, as an io.Reader may.
type emptyReads struct {
	r     io.Reader
	ready bool
}

func (h *emptyReads) Read(p []byte) (int, error) {
	if h.ready = !h.ready; h.ready {
		return 0, nil
	}
	return h.r.Read(p)
}

func TestSpool_BodySizes(t *testing.T) {
	const inMemory = 1000
	sizes := []int{
		0, 1, inMemory - 1, inMemory, inMemory + 1, 10 * inMemory,
		blockSize - 1, blockSize, blockSize + 1, 5 * blockSize / 2, sharedMaxPerBody - 1, sharedMaxPerBody, sharedMaxPerBody + 1,
	}
	for _, shared := range []int64{0, 2 * blockSize, sharedMax} {
		for _, size := range sizes {
			for _, known := range []bool{true, false} {
				s := New(t.TempDir(), 0)
				s.memory = &memory{max: shared}
				// A body that fills the memory is spilled, because its end was not seen yet.
				inFile := size > inMemory && (size >= sharedMaxPerBody || int64(size/blockSize+1)*blockSize > shared)
				checkBody(t, s, size, inMemory, known, inFile)
			}
		}
	}
}

func checkBody(t *testing.T, s *Spool, size, inMemory int, lengthKnown, inFile bool) {
	t.Helper()
	desc := fmt.Sprintf("%d bytes, length known %t, %d bytes to share", size, lengthKnown, s.memory.max)
	content := strings.Repeat("0123456789 ", size/11+1)[:size]
	b, err := s.Read(requestWith(content, lengthKnown), int64(inMemory), 0)
	if err != nil {
		t.Fatalf("%s: %v", desc, err)
	}
	if b.Length != int64(size) {
		t.Errorf("%s: got length %d", desc, b.Length)
	}
	for range 2 { // it can be read again after Seek
		if size == 0 {
			break
		}
		got, err := io.ReadAll(b)
		if err != nil || string(got) != content {
			t.Errorf("%s: got %d bytes, %v", desc, len(got), err)
		}
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
	}
	if got := s.used.Load() > 0; got != inFile {
		t.Errorf("%s: got in a file %t, want %t", desc, got, inFile)
	}
	if inMemory, want := s.memory.used.Load() > 0, size > inMemory && !inFile; inMemory != want {
		t.Errorf("%s: got in shared memory %t, want %t", desc, inMemory, want)
	}
	b.Free()
	wantNothingLeft(t, s, desc)
}

// wantNothingLeft checks that no body is stored.
func wantNothingLeft(t *testing.T, s *Spool, desc string) {
	t.Helper()
	if file, mem := s.used.Load(), s.memory.used.Load(); file != 0 || mem != 0 {
		t.Errorf("%s: afterwards %d bytes in files and %d in memory are counted as used, want 0", desc, file, mem)
	}
	if left, err := os.ReadDir(*s.dir.Load()); err != nil || len(left) > 0 {
		t.Errorf("%s: files left in the directory: %v, %v", desc, left, err)
	}
}

// TestSpool_SharedMemory stores bodies until the shared memory is full, and another
// one after a body was freed.
func TestSpool_SharedMemory(t *testing.T) {
	s := New(t.TempDir(), 0)
	s.memory = &memory{max: 4 * blockSize}
	take := func() Body {
		b, err := s.Read(requestWith(strings.Repeat("x", 3*blockSize/2), true), 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, second, third := take(), take(), take()
	if got := s.used.Load(); got != third.Length {
		t.Errorf("got %d bytes in files, want the %d of the third body", got, third.Length)
	}
	first.Free()
	fourth := take()
	if got := s.used.Load(); got != third.Length {
		t.Errorf("got %d bytes in files, want the %d of the third body", got, third.Length)
	}
	for _, b := range []Body{second, third, fourth} {
		if got, err := io.ReadAll(b); err != nil || int64(len(got)) != b.Length {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		b.Free()
	}
	wantNothingLeft(t, s, "all")
}

func TestSpool_TooLarge(t *testing.T) {
	for _, c := range []struct {
		what      string
		most, max int64
		known     bool
		size      int
		share     int64
		want      TooLargeError
	}{
		{"by Content-Length", 500, 0, true, 10000, 0, TooLargeError{"max_body", 500}},
		{"in memory", 50, 0, false, 80, 0, TooLargeError{"max_body", 50}},
		{"in shared memory", 5000, 0, false, 10000, sharedMax, TooLargeError{"max_body", 5000}},
		{"in the file", 5000, 0, false, 10000, 0, TooLargeError{"max_body", 5000}},
		{"in all files", 0, 6000, false, 10000, 0, TooLargeError{"spool_max", 6000}},
	} {
		s := New(t.TempDir(), c.max)
		s.memory = &memory{max: c.share}
		r := requestWith(strings.Repeat("x", c.size), c.known)
		read := &countedBody{r: r.Body}
		r.Body = io.NopCloser(read)
		_, err := s.Read(r, 100, c.most)
		if c.known && read.n > 0 {
			t.Errorf("%s: %d bytes were read, want 0", c.what, read.n)
		}
		if got, ok := errors.AsType[*TooLargeError](err); !ok || *got != c.want {
			t.Errorf("%s: got %v, want %+v", c.what, err, c.want)
		}
		wantNothingLeft(t, s, c.what)
	}
}

// countedBody counts the bytes that are read.
type countedBody struct {
	r io.Reader
	n int
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestSpool_ReadError(t *testing.T) {
	reset := errors.New("reset")
	s := New(t.TempDir(), 0)
	for _, share := range []int64{0, sharedMax} {
		s.memory = &memory{max: share}
		for _, arrived := range []int{0, 1000, 3 * blockSize} {
			r := requestWith("", false)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", arrived)), iotest.ErrReader(reset)))
			r.ContentLength = 10 * blockSize
			_, err := s.Read(r, 100, 0)
			if _, ours := errors.AsType[*FileError](err); ours || !errors.Is(err, reset) {
				t.Errorf("got %v, want the error of the reader", err)
			}
			wantNothingLeft(t, s, fmt.Sprint(arrived, " bytes arrived"))
		}
	}
}

func TestSpool_FileError(t *testing.T) {
	s := New(t.TempDir()+"/missing", 0)
	s.memory = &memory{}
	_, err := s.Read(requestWith("too long", true), 3, 0)
	if _, ok := errors.AsType[*FileError](err); !ok || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a FileError with %v", err, os.ErrNotExist)
	}
}

func TestSpool_DiskFull(t *testing.T) {
	for _, full := range diskFullErrors {
		if err := fileError(&os.PathError{Op: "write", Path: "/tmp/x", Err: full}); !err.DiskFull {
			t.Errorf("%v: got DiskFull false, want true", err)
		}
	}
	if err := fileError(os.ErrPermission); err.DiskFull {
		t.Errorf("%v: got DiskFull true, want false", err)
	}
}
