package fastcgi

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// inputTest is a worker script that has told the descriptor of its input.
type inputTest struct {
	t      *testing.T
	conn   *Conn
	path   string
	opened []int
	last   *fastcgitest.Request
}

// newInputTest serves a worker script; flag is that with which its file is opened.
func newInputTest(t *testing.T, flag int) *inputTest {
	t.Helper()
	x := &inputTest{t: t, path: filepath.Join(t.TempDir(), "input")}
	if err := os.WriteFile(x.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client, server := socketPair(t)
	x.conn = serve(t, &fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
		x.last = r
		response := append(fastcgitest.OK("hello"), fastcgitest.Ready())
		if len(x.opened) == 0 {
			response = append(fastcgitest.Response{fastcgitest.Stderr(mark + " input 9;\n")}, response...)
		}
		return response
	}}, client, server)
	x.conn.worker = NewWorkerConn(client, WorkerOptions{OpenInput: func(n int) (*os.File, error) {
		x.opened = append(x.opened, n)
		return os.OpenFile(x.path, flag, 0)
	}}).worker
	t.Cleanup(func() { x.conn.Close() })
	x.do(strings.NewReader("first"), 5)
	if len(x.opened) != 1 || x.opened[0] != 9 {
		t.Fatalf("opened %v", x.opened)
	}
	return x
}

func (x *inputTest) request(body io.Reader, length int64) *Request {
	r := get()
	r.SignalMark, r.Body, r.ContentLength = mark, body, length
	return r
}

func (x *inputTest) do(body io.Reader, length int64) {
	x.t.Helper()
	if _, got, err := do(x.t, x.conn, x.request(body, length)); got != "hello" || err != nil || !x.conn.Reusable() {
		x.t.Fatalf("got %q, %v", got, err)
	}
}

func (x *inputTest) file() string {
	x.t.Helper()
	text, err := os.ReadFile(x.path)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// hookedBody calls before when it is read.
type hookedBody struct {
	io.ReadSeeker
	before func()
}

func (b *hookedBody) Read(p []byte) (int, error) {
	b.before()
	return b.ReadSeeker.Read(p)
}

func TestWorker_StoredBody(t *testing.T) {
	x := newInputTest(t, os.O_RDWR)
	for _, size := range []int{maxInline + 1, 1 << 20, maxStored} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		x.do(strings.NewReader(body), int64(size))
		if !x.last.Stored || x.last.Body != nil || x.last.ID != x.conn.id {
			t.Errorf("%d bytes were sent", size)
		}
		if x.file() != body {
			t.Errorf("%d bytes: the file has others", size)
		}
		if err := os.Truncate(x.path, 0); err != nil { // as PHP does
			t.Fatal(err)
		}
	}
	for _, size := range []int{0, 1, maxInline / 2, maxStored + 1} {
		x.do(strings.NewReader(strings.Repeat("x", size)), int64(size))
		if x.last.Stored || len(x.last.Body) != size || x.file() != "" {
			t.Errorf("%d bytes: got %d, %d are stored", size, len(x.last.Body), len(x.file()))
		}
	}
	r := x.request(strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20)
	r.StreamBody = true
	if _, body, err := do(t, x.conn, r); body != "hello" || err != nil || x.last.Stored || len(x.last.Body) != 1<<20 {
		t.Errorf("a streamed body: got %q, %v, %d bytes", body, err, len(x.last.Body))
	}
}

// TestWorker_StoredBodyFails has bodies that cannot be stored: nothing of them must be
// left for the next request.
func TestWorker_StoredBodyFails(t *testing.T) {
	const size = 1 << 20
	body := strings.Repeat("x", size)
	t.Run("read-only", func(t *testing.T) {
		x := newInputTest(t, os.O_RDONLY)
		x.do(strings.NewReader(body), size)
		if x.last.Stored || string(x.last.Body) != body {
			t.Errorf("got %d bytes", len(x.last.Body))
		}
	})
	t.Run("longer than its length", func(t *testing.T) {
		x := newInputTest(t, os.O_RDWR)
		x.do(strings.NewReader(body+"more"), size)
		if x.last.Stored || string(x.last.Body) != body || x.file() != "" {
			t.Errorf("got %d bytes, %d are left", len(x.last.Body), len(x.file()))
		}
	})
	t.Run("cannot be read again", func(t *testing.T) {
		x := newInputTest(t, os.O_RDWR)
		_, err := x.conn.RoundTrip(testContext(t), x.request(io.LimitReader(strings.NewReader(body), size-1), size))
		if _, ok := errors.AsType[*BodyError](err); !ok || x.file() != "" || !x.conn.Reusable() {
			t.Errorf("got %v, reusable %t, %d bytes are left", err, x.conn.Reusable(), len(x.file()))
		}
		x.do(nil, 0)
	})
	t.Run("canceled", func(t *testing.T) {
		x := newInputTest(t, os.O_RDWR)
		ctx, cancel := context.WithCancel(testContext(t))
		_, err := x.conn.RoundTrip(ctx, x.request(&hookedBody{strings.NewReader(body), func() {
			cancel()
			for _, cause := x.conn.canceler.stopped(); cause == nil; _, cause = x.conn.canceler.stopped() {
				runtime.Gosched() // until the connection knows it, too
			}
		}}, size))
		if !errors.Is(err, ErrNotSent) || x.file() != "" {
			t.Errorf("got %v, %d bytes are left", err, len(x.file()))
		}
	})
	t.Run("closed", func(t *testing.T) {
		x := newInputTest(t, os.O_RDWR)
		f := x.conn.worker.input.file.Load()
		x.conn.Close()
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Close has left the file open (%v)", err)
		}
	})
	t.Run("closed while it is opened", func(t *testing.T) {
		x := newInputTest(t, os.O_RDWR)
		var f *os.File
		input := &x.conn.worker.input
		input.open = func(int) (_ *os.File, err error) {
			f, err = os.Open(x.path)
			x.conn.Close()
			return f, err
		}
		input.opened(9)
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the file is left open (%v)", err)
		}
	})
}
