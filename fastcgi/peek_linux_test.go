package fastcgi

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// inSocket is how many bytes are in the socket, read or not.
func inSocket(t *testing.T, c *Conn) (n int) {
	t.Helper()
	var err error
	if ctrl := c.raw.rc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }); ctrl != nil || err != nil {
		t.Fatal(ctrl, err)
	}
	return n
}

// TestPHPIsWokenOnceForEachRequest counts how often PHP goes to sleep, which the
// kernel knows: reading its answer must not wake it.
func TestPHPIsWokenOnceForEachRequest(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	sleeps := func() (n int) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		if _, err := fmt.Sscan(line, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const requests = 640
	p.get(c, "hello.php", "")
	before := sleeps()
	for range requests {
		p.get(c, "hello.php", "")
		eventually(t, "PHP sleeps", func() bool { return asleep(t, p.cmd.Process.Pid) })
	}
	if n := sleeps() - before; n > requests*11/10 {
		t.Errorf("PHP slept %d times in %d requests", n, requests)
	}
}

// eventually waits until something is so, which no event tells.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for ctx := testContext(t); !so(); time.Sleep(10 * time.Microsecond) {
		if ctx.Err() != nil {
			t.Fatalf("it never came so far: %s", what)
		}
	}
}

func asleep(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(stat), ") S ")
}

// TestWhatIsLeftInTheSocketHasBounds: short answers are left there, but not many,
// and long ones not at all.
func TestWhatIsLeftInTheSocketHasBounds(t *testing.T) {
	for _, size := range []int{1, 1000, maxPeek, 100_000} {
		text := strings.Repeat("x", size)
		c := connectSocket(t, answering(fastcgitest.OK(text)))
		most := 0
		for range 100 {
			if _, body, err := do(t, c, get()); err != nil || body != text {
				t.Fatalf("got %d bytes, error %v, want %d", len(body), err, size)
			}
			most = max(most, inSocket(t, c))
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if large := size > 1000; c.raw.peek.expectLarge != large {
			t.Errorf("behind answers of %d bytes a large one is expected: %t", size, !large)
		}
		switch {
		case size <= 1000 && most < size:
			t.Errorf("answers of %d bytes are not left in the socket", size)
		case size > 1000 && most > 0:
			t.Errorf("%d bytes were left in the socket by answers of %d", most, size)
		case most > maxPeekedBytes+2*maxPeek || most > (maxPeekedCount+1)*(size+200):
			t.Errorf("%d bytes were left in the socket by answers of %d", most, size)
		}
	}
}

// TestWhatIsLeftInTheSocketHidesNothing: bytes that nobody asked for, and the
// end, are seen behind it.
func TestWhatIsLeftInTheSocketHidesNothing(t *testing.T) {
	more := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(more) })
	defer goOn()
	c := connectSocket(t, answering(append(fastcgitest.OK("hello"), fastcgitest.Wait(more), fastcgitest.Stdout("late"))))
	if _, body, err := do(t, c, get()); err != nil || body != "hello" {
		t.Fatalf("got %q, error %v", body, err)
	}
	if inSocket(t, c) == 0 {
		t.Fatal("nothing was left in the socket")
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	before := inSocket(t, c)
	goOn()
	eventually(t, "more has come", func() bool { return inSocket(t, c) > before })
	if err := c.Check(); err == nil || !c.Broken() {
		t.Errorf("Check gives %v, broken %v", err, c.Broken())
	}
}

// TestALongAnswerBehindWhatIsLeft: what package net reads begins where the
// answer does.
func TestALongAnswerBehindWhatIsLeft(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<16)
	c := connectSocket(t, func(r *fastcgitest.Request) fastcgitest.Answer {
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
