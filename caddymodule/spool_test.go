package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// bodyOf is a request with such a body, of known length or not.
func bodyOf(content string, known bool) *http.Request {
	var r io.Reader = strings.NewReader(content)
	if !known {
		r = iotest.OneByteReader(r)
	}
	req := httptest.NewRequest(http.MethodPost, "/", r)
	return req
}

func TestABodyIsWholeWhateverItsSize(t *testing.T) {
	const inMemory = 1000
	for _, size := range []int{0, 1, inMemory - 1, inMemory, inMemory + 1, 10 * inMemory} {
		for _, known := range []bool{true, false} {
			s := newSpool(&PoolOptions{SpoolDir: t.TempDir()})
			content := strings.Repeat("x", size)
			b, err := s.take(bodyOf(content, known), inMemory, 0)
			if err != nil {
				t.Fatalf("%d bytes, length known %t: %v", size, known, err)
			}
			if b.length != int64(size) {
				t.Errorf("%d bytes, length known %t: got length %d", size, known, b.length)
			}
			if size > 0 {
				for range 2 { // it can be sent a second time
					got, err := io.ReadAll(b)
					if err != nil || !bytes.Equal(got, []byte(content)) {
						t.Errorf("%d bytes, length known %t: got %d bytes, %v", size, known, len(got), err)
					}
					if _, err := b.Seek(0, io.SeekStart); err != nil {
						t.Error(err)
					}
				}
			}
			if inFile := size > inMemory; inFile != (s.inUse.Load() > 0) {
				t.Errorf("%d bytes: %d bytes in files", size, s.inUse.Load())
			}
			b.done()
			if got := s.inUse.Load(); got != 0 {
				t.Errorf("%d bytes: %d bytes are still counted afterwards", size, got)
			}
			if left, err := os.ReadDir(*s.dir.Load()); err != nil || len(left) > 0 {
				t.Errorf("%d bytes: %v is left, %v", size, left, err)
			}
		}
	}
}

func TestABodyOverALimitIs413AndLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		what  string
		o     PoolOptions
		most  int64
		known bool
		small bool // enough for the memory
	}{
		{"max_body, announced", PoolOptions{}, 500, true, false},
		{"max_body, found out in memory", PoolOptions{}, 50, false, true},
		{"max_body, found out in the file", PoolOptions{}, 5000, false, false},
		{"spool_max", PoolOptions{SpoolMax: 5000}, 0, false, false},
	} {
		c.o.SpoolDir = t.TempDir()
		s := newSpool(&c.o)
		size := 10000
		if c.small {
			size = 80
		}
		r := bodyOf(strings.Repeat("x", size), c.known)
		read := &countedBody{r: r.Body}
		r.Body = io.NopCloser(read)
		_, err := s.take(r, 100, c.most)
		if c.known && read.n > 0 {
			t.Errorf("%s: %d bytes were read", c.what, read.n)
		}
		if got := statusOf(err); got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %d (%v), want 413", c.what, got, err)
		}
		if got := s.inUse.Load(); got != 0 {
			t.Errorf("%s: %d bytes are still counted", c.what, got)
		}
	}
}

// countedBody counts what is read.
type countedBody struct {
	r io.Reader
	n int
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestABodyThatCannotBeReadIsTheClientsFault(t *testing.T) {
	s := newSpool(&PoolOptions{SpoolDir: t.TempDir()})
	r := bodyOf("", false)
	r.Body = io.NopCloser(iotest.ErrReader(errors.New("reset")))
	r.ContentLength = 10
	if _, err := s.take(r, 100, 0); statusOf(err) != http.StatusBadRequest {
		t.Errorf("got %v, want 400", err)
	}
}

func TestABodyThatCannotBeKeptIsOurs(t *testing.T) {
	s := newSpool(&PoolOptions{SpoolDir: t.TempDir() + "/missing"})
	if _, err := s.take(bodyOf("too long", true), 3, 0); statusOf(err) != http.StatusInternalServerError {
		t.Errorf("got %v, want 500", err)
	}
}
