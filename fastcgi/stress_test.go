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

// TestConn_Stress stops requests in every way and at random moments. Every request
// must end, a response without an error must be complete, and a reusable connection
// must work.
func TestConn_Stress(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	s := &fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Response{
			fastcgitest.Stderr("noise"), fastcgitest.Stdout("A: b\r\n\r\n"), fastcgitest.Flush(),
			fastcgitest.Stdout(string(r.Body)), fastcgitest.Flush(), fastcgitest.End(),
		}
	}}
	died := errors.New("worker died")
	overSocketAndPipe(t, func(t *transport) {
		var last *Conn
		for range 500 {
			if last == nil || !last.Reusable() || last.Check() != nil {
				last = t.connect(s)
			}
			c := last // the timer must stop this connection, even if it is late
			size := rand.IntN(len(data))
			ctx, cancel := context.WithCancel(t.Context())
			end := []func(){cancel, func() { c.Interrupt(died) }, func() { c.Close() }, func() {}}[rand.IntN(4)]
			timer := time.AfterFunc(time.Duration(rand.IntN(500))*time.Microsecond, end)
			r := get()
			r.Body, r.ContentLength = bytes.NewReader(data), int64(size)
			body, err := roundTrip(ctx, c, r)
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

// roundTrip sends a request and reads the body of its response, after a Fill or
// without one.
func roundTrip(ctx context.Context, c *Conn, r *Request) (string, error) {
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
