package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// testLog is a WorkerLog.
type testLog struct {
	requests int
	text     string
	ended    []string // what was written to Stderr, or "nil"
}

func (l *testLog) BeginRequest() { l.requests++ }

func (l *testLog) EndRequest(dst io.Writer) {
	if dst == nil {
		l.ended = append(l.ended, "nil")
		return
	}
	io.WriteString(dst, l.text)
	l.ended = append(l.ended, l.text)
}

// serveWorker returns a Conn of NewWorkerConn that is served by s.
func serveWorker(t *testing.T, s *fastcgitest.Responder, log WorkerLog, reset func()) *Conn {
	t.Helper()
	client, server := socketPair(t)
	c := serve(t, s, client, server)
	c.worker = NewWorkerConn(client, WorkerOptions{Log: log, OnReset: reset}).worker
	return c
}

// TestWorker_Ready checks that a response ends with END_REQUEST, and that the connection
// is busy until READY, whatever the context does.
func TestWorker_Ready(t *testing.T) {
	for _, size := range []int{1, 7, 1 << 20} {
		script := make(chan struct{})
		response := append(fastcgitest.Response{fastcgitest.InPieces(size)}, fastcgitest.OK("hello")...)
		response = append(response, fastcgitest.Wait(script), fastcgitest.Ready())
		log := &testLog{text: "logged"}
		c := serveWorker(t, &fastcgitest.Responder{Handler: respondWith(response)}, log, nil)
		for i := 1; i <= 3; i++ {
			var stderr strings.Builder
			r := get()
			r.Stderr = &stderr
			ctx, cancel := context.WithCancel(testContext(t))
			resp, err := c.RoundTrip(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(resp.Body)
			if string(content) != "hello" || err != nil {
				t.Errorf("got %q, %v", content, err)
			}
			body := resp.Body.(*Body)
			if !body.Running() || body.TryEnd() || c.Reusable() || c.Check() == nil {
				t.Error("ready before READY")
			}
			cancel()
			script <- struct{}{}
			resp.Body.Close()
			if body.Running() || !body.TryEnd() || !c.Reusable() || c.Check() != nil || c.Broken() {
				t.Fatal("not ready after READY")
			}
			if stderr.String() != "logged" || log.requests != i || len(log.ended) != i {
				t.Errorf("got stderr %q, %d requests, %q ended", stderr.String(), log.requests, log.ended)
			}
		}
	}
}

// TestWorker_ReadyAtOnce sends READY together with the response.
func TestWorker_ReadyAtOnce(t *testing.T) {
	response := append(fastcgitest.OK("hello"), fastcgitest.Ready())
	c := serveWorker(t, &fastcgitest.Responder{Handler: respondWith(response)}, nil, nil)
	for range 3 {
		if _, body, err := do(t, c, get()); body != "hello" || err != nil || !c.Reusable() {
			t.Errorf("got %q, %v", body, err)
		}
	}
}

func TestWorker_OPcacheReset(t *testing.T) {
	resets := 0
	var calls atomic.Bool
	c := serveWorker(t, &fastcgitest.Responder{Handler: func(*fastcgitest.Request) fastcgitest.Response {
		response := append(fastcgitest.OK("hello"), fastcgitest.Ready())
		if calls.Load() {
			return append(fastcgitest.Response{fastcgitest.Stderr(mark + " opcache_reset;\n")}, response...)
		}
		return response
	}}, nil, func() { resets++ })
	for range 2 {
		for _, call := range []bool{true, false} {
			calls.Store(call)
			r := get()
			r.SignalMark = mark
			if _, _, err := do(t, c, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if resets != 2 {
		t.Errorf("got %d resets, want 2", resets)
	}
}

// TestWorker_Invalid sends what a worker script must not.
func TestWorker_Invalid(t *testing.T) {
	ok := fastcgitest.OK("hello")
	for name, response := range map[string]fastcgitest.Response{
		"output after the end":  append(ok, fastcgitest.Stdout("x"), fastcgitest.Ready()),
		"stderr after the end":  append(ok, fastcgitest.Stderr("x"), fastcgitest.Ready()),
		"two ends":              append(ok, fastcgitest.End(), fastcgitest.Ready()),
		"ready before the end":  {fastcgitest.Stdout("Status: 200\r\n\r\nhello"), fastcgitest.Ready(), fastcgitest.End()},
		"ready with content":    append(ok, fastcgitest.Record(fastcgitest.TypeReady, 0, "x", 0)),
		"ready of a request":    append(ok, fastcgitest.Record(fastcgitest.TypeReady, 1, "", 0)),
		"ready twice":           append(ok, fastcgitest.Ready(), fastcgitest.Ready()),
		"garbage":               append(ok, fastcgitest.Raw([]byte("garbage, garbage"))),
		"hello after the end":   append(ok, fastcgitest.Record(100, 0, "", 0)),
		"late record of a copy": append(ok, fastcgitest.Record(fastcgitest.TypeStdout, 1, "copy", 0), fastcgitest.Ready()),
	} {
		t.Run(name, func(t *testing.T) {
			response := append(response, fastcgitest.Close())
			c := serveWorker(t, &fastcgitest.Responder{Handler: respondWith(response)}, nil, nil)
			resp, err := c.RoundTrip(testContext(t), get())
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if c.Reusable() && c.Check() == nil {
				t.Error("reusable")
			}
			if !c.Broken() {
				t.Error("not broken")
			}
			c.Abandon() // closes it
			if err := c.Recover(testContext(t)); err == nil {
				t.Error("Recover returned no error")
			}
		})
	}
}

// TestWorker_Ends has scripts that end: before, within and after a response.
func TestWorker_Ends(t *testing.T) {
	for name, tt := range map[string]struct {
		response fastcgitest.Response
		body     string
		fails    bool
	}{
		"before the response":      {nil, "", true},
		"within the header":        {fastcgitest.Response{fastcgitest.Stdout("Status: 200\r\n")}, "", true},
		"an end within the header": {fastcgitest.Reply("Status: 200\r\n"), "", true},
		"an end without a header":  {fastcgitest.Response{fastcgitest.End()}, "", true},
		"within the response":      {fastcgitest.Response{fastcgitest.Stdout("Status: 200\r\n\r\nhello")}, "hello", true},
		"after the response":       {fastcgitest.OK("hello"), "hello", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := serveWorker(t, &fastcgitest.Responder{Handler: respondWith(append(tt.response, fastcgitest.Close()))}, nil, nil)
			_, body, err := do(t, c, get())
			if body != tt.body || (err != nil) != tt.fails {
				t.Errorf("got %q, %v", body, err)
			}
			if c.Reusable() {
				t.Error("reusable")
			}
			c.Abandon()
			if err := c.Recover(testContext(t)); err == nil {
				t.Error("Recover returned no error")
			}
		})
	}
}

// TestWorker_Recover gives requests up at every byte of the response.
func TestWorker_Recover(t *testing.T) {
	response := fastcgitest.Response{fastcgitest.Stdout("Status: 200\r\n\r\nhello"), fastcgitest.Stdout(strings.Repeat("x", 20)), fastcgitest.Stderr("stderr"), fastcgitest.End(), fastcgitest.Ready()}
	whole := fastcgitest.Encode(response, 1)
	for n := range len(whole) {
		var aborted []uint16
		received, gaveUp := make(chan struct{}), make(chan struct{})
		first := true
		c := serveWorker(t, &fastcgitest.Responder{
			Aborted: func(id uint16) { aborted = append(aborted, id) },
			Handler: func(r *fastcgitest.Request) fastcgitest.Response {
				if !first {
					return append(fastcgitest.OK(fmt.Sprint("second ", aborted)), fastcgitest.Ready())
				}
				first = false
				close(received)
				wire := fastcgitest.Encode(response, r.ID)
				return fastcgitest.Response{fastcgitest.Raw(wire[:n]), fastcgitest.Wait(gaveUp), fastcgitest.Raw(wire[n:])}
			},
		}, nil, nil)
		ctx, cancel := context.WithCancel(testContext(t))
		done := make(chan struct{})
		go func() {
			defer close(done)
			resp, err := c.RoundTrip(ctx, get())
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.(*Body).TryEnd()
				if !resp.Body.(*Body).Running() {
					resp.Body.Close()
				}
			}
		}()
		if n < len(whole)-8 { // with END_REQUEST the response is complete
			<-received
			cancel()
		}
		<-done
		cancel()
		running := state(c.state.Load()) == busy
		close(gaveUp)
		if running { // the response is complete, but READY has not arrived
			continue
		}
		c.Abandon()
		if err := c.Recover(testContext(t)); err != nil || !c.Reusable() || c.Check() != nil {
			t.Fatalf("after %d bytes: got %v, reusable %t", n, err, c.Reusable())
		}
		if _, body, err := do(t, c, get()); body != "second [1]" || err != nil {
			t.Fatalf("after %d bytes: got %q, %v", n, body, err)
		}
	}
}

// TestWorker_RecoverNotSent gives a request up of which nothing was sent.
func TestWorker_RecoverNotSent(t *testing.T) {
	c := serveWorker(t, &fastcgitest.Responder{
		Handler: respondWith(append(fastcgitest.OK("hello"), fastcgitest.Ready())),
		Aborted: func(uint16) { t.Error("received ABORT_REQUEST") },
	}, nil, nil)
	b := newBody(c, get(), 0, watch{})
	b.useID, _, _ = c.acquire(testContext(t), false)
	b.abandon(context.Canceled)
	b.stream.free()
	c.Abandon()
	if err := c.Recover(testContext(t)); err != nil || !c.Reusable() {
		t.Errorf("got %v", err)
	}
	if _, body, err := do(t, c, get()); body != "hello" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

// TestWorker_RecoverTimeout recovers from a script that goes on.
func TestWorker_RecoverTimeout(t *testing.T) {
	script := make(chan struct{})
	response := append(fastcgitest.Response{fastcgitest.Stdout("Status: 200\r\n\r\nhello"), fastcgitest.Wait(script), fastcgitest.End()}, fastcgitest.Ready())
	c := serveWorker(t, &fastcgitest.Responder{Handler: respondWith(response), Aborted: func(uint16) {}}, nil, nil)
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c.Abandon()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Recover(ctx); !errors.Is(err, context.DeadlineExceeded) || c.Reusable() {
		t.Errorf("got %v, reusable %t", err, c.Reusable())
	}
	close(script)
	if err := c.Recover(testContext(t)); err != nil || !c.Reusable() {
		t.Errorf("at the second time: got %v, reusable %t", err, c.Reusable())
	}
}

func TestWorker_Greet(t *testing.T) {
	const nonce = "ABCDEFGH"
	hello := "\x01\x64\x00\x00\x00\x08\x00\x00"
	for wire, ok := range map[string]bool{
		hello + nonce:      true,
		hello + "ABCDEFGX": false,
		"\x01\x64\x00\x00\x00\x07\x00\x00ABCDEFG":  false,
		"\x01\x64\x00\x01\x00\x08\x00\x00" + nonce: false,
		"\x02\x64\x00\x00\x00\x08\x00\x00" + nonce: false,
		"\x01\x65\x00\x00\x00\x08\x00\x00" + nonce: false,
		hello + "ABC": false,
		hello:         false,
		"":            false,
	} {
		if err := GreetWorker(strings.NewReader(wire), nonce); (err == nil) != ok {
			t.Errorf("%q: got %v", wire, err)
		}
	}
	ready := "\x01\x65\x00\x00\x00\x00\x00\x00"
	for wire, ok := range map[string]bool{
		ready: true, ready[:7]: false, "": false, hello: false,
		"\x02\x65\x00\x00\x00\x00\x00\x00": false, "\x01\x65\x00\x01\x00\x00\x00\x00": false, "\x01\x65\x00\x00\x00\x01\x00\x00": false,
		"\x01\x65\x00\x00\x00\x00\x01\x00": false,
	} {
		if err := AwaitWorker(strings.NewReader(wire)); (err == nil) != ok {
			t.Errorf("%q: got %v", wire, err)
		}
	}
	var b bytes.Buffer
	if err := StopWorker(&b); err != nil || b.String() != "\x01\x66\x00\x00\x00\x00\x00\x00" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

// FuzzWorker responds with arbitrary bytes, as FuzzConn does, in the name of a worker
// script. The connection is reusable only after a response and READY.
func FuzzWorker(f *testing.F) {
	whole := fastcgitest.Encode(append(fastcgitest.OK("hello"), fastcgitest.Ready()), requestID)
	for i := range uint8(8) {
		f.Add(whole, uint16(i)*9, i)
		f.Add(whole[:len(whole)-4], uint16(i), i)
		f.Add(append(bytes.Clone(whole), whole...), uint16(i)*5, i)
		f.Add(fastcgitest.Encode(append(fastcgitest.OK("hello"), fastcgitest.Record(fastcgitest.TypeReady, 0, "", 7)), requestID), uint16(i), i)
	}
	l := listenAsPHP(f)
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, wire []byte, pieces uint16, how uint8) {
		client, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			sendWire(server, wire, int(pieces))
		}()
		c := NewWorkerConn(client, WorkerOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		resp, err := c.RoundTrip(ctx, get())
		if err == nil {
			_, err = bodyReaders[how%4](resp.Body.(*Body))
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			t.Fatal("timeout")
		}
		size, _, ok := parseResponse(wire)
		ready := wire[min(size, len(wire)):]
		ok = ok && len(ready) >= headerLen && bytes.Equal(ready[:6], []byte{1, byte(typeReady), 0, 0, 0, 0}) && len(ready) >= headerLen+int(ready[6])
		if c.Reusable() && (!ok || c.Broken()) {
			t.Errorf("reusable after %q (broken: %v)", wire, c.Broken())
		}
		if ok && len(ready) == headerLen+int(ready[6]) && how%4 != 3 && (!c.Reusable() || c.Broken()) {
			t.Errorf("after a complete response: got reusable %v, broken %v, %v", c.Reusable(), c.Broken(), err)
		}
		c.Abandon()
		if err := c.Recover(ctx); err == nil && !c.Reusable() {
			t.Errorf("recovered after %q, but not reusable", wire)
		}
		if ctx.Err() != nil {
			t.Fatal("timeout")
		}
		c.Close()
		<-done
	})
}
