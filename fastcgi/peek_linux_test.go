package fastcgi

import (
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testproc"
)

// socketBytes returns the number of bytes in the socket buffer, peeked or not.
func socketBytes(t *testing.T, c *Conn) (n int) {
	t.Helper()
	var err error
	if ctrl := c.raw.rc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }); ctrl != nil || err != nil {
		t.Fatal(ctrl, err)
	}
	return n
}

// TestPeeker_WakesPHPOncePerRequest counts how often PHP goes to sleep: reading its
// response must not wake it.
func TestPeeker_WakesPHPOncePerRequest(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	const requests = 640
	p.get(c, "hello.php", "")
	if n := testproc.Sleeps(t, p.cmd.Process.Pid, requests, func() { p.get(c, "hello.php", "") }); n > requests*11/10 {
		t.Errorf("PHP went to sleep %d times in %d requests", n, requests)
	}
}

// waitFor polls until cond returns true.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for ctx := testContext(t); !cond(); time.Sleep(10 * time.Microsecond) {
		if ctx.Err() != nil {
			t.Fatalf("timeout waiting for %s", what)
		}
	}
}

// TestPeeker_Limits checks that only a limited number of short responses is left
// in the socket buffer, and no large ones.
func TestPeeker_Limits(t *testing.T) {
	for _, size := range []int{1, 1000, maxPeek, 100_000} {
		text := strings.Repeat("x", size)
		c := connectSocket(t, respondWith(fastcgitest.OK(text)))
		maxBytes := 0
		for range 100 {
			if _, body, err := do(t, c, get()); err != nil || body != text {
				t.Fatalf("got %d bytes, error %v, want %d", len(body), err, size)
			}
			maxBytes = max(maxBytes, socketBytes(t, c))
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if large := size > 1000; c.raw.peek.expectLarge != large {
			t.Errorf("after responses of %d bytes: got expectLarge %t, want %t", size, !large, large)
		}
		switch {
		case size <= 1000 && maxBytes < size:
			t.Errorf("responses of %d bytes are not left in the socket buffer", size)
		case size > 1000 && maxBytes > 0:
			t.Errorf("responses of %d bytes: %d bytes are left in the socket buffer, want 0", size, maxBytes)
		case maxBytes > maxPeekedBytes+2*maxPeek || maxBytes > (maxPeekedCount+1)*(size+200):
			t.Errorf("responses of %d bytes: %d bytes are left in the socket buffer, want fewer", size, maxBytes)
		}
	}
}

// TestPeeker_CheckSeesUnexpectedData checks that peeked bytes in the socket buffer
// do not hide unexpected data that follows them.
func TestPeeker_CheckSeesUnexpectedData(t *testing.T) {
	more := make(chan struct{})
	sendMore := sync.OnceFunc(func() { close(more) })
	defer sendMore()
	c := connectSocket(t, respondWith(append(fastcgitest.OK("hello"), fastcgitest.Wait(more), fastcgitest.Stdout("late"))))
	if _, body, err := do(t, c, get()); err != nil || body != "hello" {
		t.Fatalf("got %q, error %v", body, err)
	}
	if socketBytes(t, c) == 0 {
		t.Fatal("nothing was left in the socket buffer")
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	before := socketBytes(t, c)
	sendMore()
	waitFor(t, "more data", func() bool { return socketBytes(t, c) > before })
	if err := c.Check(); err == nil || !c.Broken() {
		t.Errorf("Check: got %v, broken %v, want an error, true", err, c.Broken())
	}
}

// TestPeeker_LargeResponseAfterSmall checks that package net, which reads large
// responses, does not read peeked bytes again.
func TestPeeker_LargeResponseAfterSmall(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<16)
	c := connectSocket(t, func(r *fastcgitest.Request) fastcgitest.Response {
		if r.Params["QUERY_STRING"] == "long" {
			return fastcgitest.OK(long)
		}
		return fastcgitest.OK("short")
	})
	for _, query := range []string{"", "", "long", "", "long", "long", ""} {
		r := get()
		r.AddParam("QUERY_STRING", query)
		want := "short"
		if query != "" {
			want = long
		}
		if _, body, err := do(t, c, r); err != nil || body != want {
			t.Fatalf("got %d bytes, error %v, want %d", len(body), err, len(want))
		}
		if !c.Reusable() {
			t.Fatal("not reusable")
		}
	}
}
