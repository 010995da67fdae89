package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// Requests are cut off in every way and at any moment. Each must end, a right
// answer must be whole, and what is reusable must work.
func TestStress(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	s := &fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Answer {
		return fastcgitest.Answer{
			fastcgitest.Stderr("noise"), fastcgitest.Stdout("A: b\r\n\r\n"), fastcgitest.Flush(),
			fastcgitest.Stdout(string(r.Body)), fastcgitest.Flush(), fastcgitest.End(),
		}
	}}
	died := errors.New("worker died")
	overBoth(t, func(t *transport) {
		var last *Conn
		for range 500 {
			if last == nil || !last.Reusable() || last.Check() != nil {
				last = t.connect(s)
			}
			c := last // of this round: a timer may be late
			size := rand.IntN(len(data))
			ctx, cancel := context.WithCancel(t.Context())
			end := []func(){cancel, func() { c.Interrupt(died) }, func() { c.Close() }, func() {}}[rand.IntN(4)]
			timer := time.AfterFunc(time.Duration(rand.IntN(500))*time.Microsecond, end)
			r := get()
			r.Body, r.ContentLength = bytes.NewReader(data), int64(size)
			body, err := exchange(ctx, c, r)
			timer.Stop()
			cancel()
			r.Free()
			switch {
			case err == nil && body != string(data[:size]):
				t.Fatalf("got %d bytes, want %d", len(body), size)
			case err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, died) && !errors.Is(err, ErrClosed):
				t.Fatal(err)
			}
		}
	})
}

// writeRead runs a request and reads its body in one of several ways.
func exchange(ctx context.Context, c *Conn, r *Request) (string, error) {
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if rand.IntN(2) == 0 {
		resp.Body.(*Body).Fill(MaxFill)
	}
	var b strings.Builder
	_, err = io.Copy(&b, resp.Body)
	return b.String(), err
}
