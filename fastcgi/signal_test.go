package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

const mark = "php_pool:0123"

// TestSignal_Stderr splits STDERR into records of every size: signals are found in
// them all, and nothing else is lost.
func TestSignal_Stderr(t *testing.T) {
	const text = "first\nphp_pool:012 no mark\nsecond" + mark + " unknown verb;ignored   \nthird\nphp_pool:01"
	const want = "first\nphp_pool:012 no mark\nsecondthird\nphp_pool:01"
	for size := 1; size <= len(text); size++ {
		var stderr strings.Builder
		var s stream
		s.init(&stderr)
		s.signalMark = mark
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			s.writeStderr([]byte(rest[:n]))
			rest = rest[n:]
		}
		s.free()
		if got := stderr.String(); got != want {
			t.Fatalf("in pieces of %d: got %q, want %q", size, got, want)
		}
	}
}

// TestSignal_Finish checks that a response ends at the signal, and that the
// connection is busy until PHP has ended the request, whatever the context does.
func TestSignal_Finish(t *testing.T) {
	const head = "Content-type: text/html\r\n\r\n"
	for name, tt := range map[string]struct {
		before    fastcgitest.Response
		body      string
		truncated bool
	}{
		"after content":   {fastcgitest.Response{fastcgitest.Stdout(head + "hello"), fastcgitest.Stderr(mark + " finish 1;\n")}, "hello", false},
		"with the header": {fastcgitest.Response{fastcgitest.Stderr(mark + " finish 0;\n"), fastcgitest.Stdout(head + " ")}, "", false},
		"with its length": {fastcgitest.Response{fastcgitest.Stdout("Content-Length: 5\r\n" + head + "hello"), fastcgitest.Stderr(mark + " finish 1;\n")}, "hello", false},
		"too short":       {fastcgitest.Response{fastcgitest.Stdout("Content-Length: 9\r\n" + head + "hello"), fastcgitest.Stderr(mark + " finish 1;\n")}, "hello", true},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			t.Run(name, func(t *testing.T) {
				script := make(chan struct{})
				response := append(fastcgitest.Response{fastcgitest.InPieces(size)}, tt.before...)
				response = append(response, fastcgitest.Stdout("dropped"), fastcgitest.Wait(script),
					fastcgitest.Stderr("logged later"), fastcgitest.Stdout("dropped"), fastcgitest.End())
				client, server := socketPair(t)
				c := serve(t, &fastcgitest.Responder{Handler: respondWith(response)}, client, server)
				var stderr strings.Builder
				r := get()
				r.SignalMark, r.Stderr = mark, &stderr
				ctx, cancel := context.WithCancel(testContext(t))
				resp, err := c.RoundTrip(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				body := resp.Body.(*Body)
				content, err := io.ReadAll(body)
				if string(content) != tt.body || (err != nil) != tt.truncated || body.Truncated() != tt.truncated {
					t.Errorf("got %q, %v, truncated %t", content, err, body.Truncated())
				}
				if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Error(err)
				}
				if !body.Running() || c.Reusable() {
					t.Errorf("running %t, reusable %t, want true and false", body.Running(), c.Reusable())
				}
				cancel() // as net/http does when the handler returns
				close(script)
				body.Close()
				if body.Running() || !c.Reusable() || stderr.String() != "logged later" {
					t.Errorf("running %t, reusable %t, stderr %q", body.Running(), c.Reusable(), stderr.String())
				}
			})
		}
	}
}

func TestSignal_FillFinished(t *testing.T) {
	script := make(chan struct{})
	client, server := socketPair(t)
	c := serve(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
		fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stderr(mark + " finish 1;\n"), fastcgitest.Wait(script), fastcgitest.End(),
	})}, client, server)
	r := get()
	r.SignalMark = mark
	resp, err := c.RoundTrip(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body.(*Body)
	for !body.Fill(MaxFill) { // the records may arrive one by one
		runtime.Gosched()
	}
	if resp.ContentLength != 5 || !body.Running() {
		t.Errorf("length %d, running %t", resp.ContentLength, body.Running())
	}
	close(script)
	body.Close()
	if !c.Reusable() {
		t.Error("the connection is not reusable")
	}
}

// TestSignal_WorkerExits checks that a response that is complete stays so when the
// process exits afterwards.
func TestSignal_WorkerExits(t *testing.T) {
	client, server := socketPair(t)
	c := serve(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
		fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stderr(mark + " finish 1;\n"), fastcgitest.Close(),
	})}, client, server)
	r := get()
	r.SignalMark = mark
	_, content, err := do(t, c, r)
	if content != "hello" || err != nil || c.Reusable() {
		t.Errorf("got %q, %v, reusable %t", content, err, c.Reusable())
	}
}

type interimLog []string

func (l *interimLog) HandleInterim(status int, header http.Header) {
	*l = append(*l, fmt.Sprint(status, header))
}

func TestSignal_Interim(t *testing.T) {
	client, server := socketPair(t)
	c := serve(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
		// Link: </a.css>; rel=preload
		fastcgitest.Stderr(mark + " early 103 TGluazogPC9hLmNzcz47IHJlbD1wcmVsb2Fk;      \n"),
		fastcgitest.Stderr(mark + " early 101 TGluazogPC9hLmNzcz47IHJlbD1wcmVsb2Fk;\n"),
		fastcgitest.Stderr(mark + " headers;\n"), fastcgitest.Stdout("A: b\r\n\r\n "), fastcgitest.Stdout("hello"), fastcgitest.End(),
	})}, client, server)
	r := get()
	var got interimLog
	r.SignalMark = mark
	r.Interim = &got
	_, content, err := do(t, c, r)
	if content != "hello" || err != nil || !c.Reusable() {
		t.Errorf("got %q, %v, reusable %t", content, err, c.Reusable())
	}
	if want := []string{"103 map[Link:[</a.css>; rel=preload]]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// entryLog is a Stderr that takes entries of frankenphp_log().
type entryLog struct{ strings.Builder }

func (l *entryLog) HandleLog(level int, message string, context []byte) {
	fmt.Fprintf(l, "%d|%s|%s\n", level, message, context)
}

// TestSignal_Log checks that entries of frankenphp_log() stay in order with other
// messages, and that a Stderr that does not take them gets text.
func TestSignal_Log(t *testing.T) {
	const text = "first\n" + mark + " log 4 aGVsbG8= eyJhIjoxfQ==;\n" + // hello, {"a":1}
		mark + " log -4 Ynll ;\n" + // bye
		mark + " log x Ynll ;\n" + mark + " log 0 ?? ;\n" + mark + " log 0 Ynll ?;\n" + "last\n"
	for size := 1; size <= len(text); size += 7 {
		entries, plain := new(entryLog), new(strings.Builder)
		for _, dst := range []io.Writer{entries, plain} {
			var s stream
			s.init(dst)
			s.signalMark = mark
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				s.writeStderr([]byte(rest[:n]))
				rest = rest[n:]
			}
			s.free()
		}
		if got, want := entries.String(), "first\n4|hello|{\"a\":1}\n-4|bye|\nlast\n"; got != want {
			t.Fatalf("in pieces of %d: got %q, want %q", size, got, want)
		}
		if got, want := plain.String(), "first\nhello {\"a\":1}\nbye\nlast\n"; got != want {
			t.Fatalf("in pieces of %d: got text %q, want %q", size, got, want)
		}
	}
}

// TestSignal_HeadersByte checks that the byte that sends the header is dropped, however
// the response arrives, and is not counted as content.
func TestSignal_HeadersByte(t *testing.T) {
	for name, tt := range map[string]struct {
		head, content string
	}{
		"no length": {"A: b\r\n\r\n", "hello"},
		"length":    {"Content-Length: 5\r\n\r\n", "hello"},
		"chunked":   {"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				client, server := socketPair(t)
				c := serve(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
					fastcgitest.InPieces(size), fastcgitest.Stderr(mark + " headers;\n"),
					fastcgitest.Stdout(tt.head + " "), fastcgitest.Stdout(tt.content), fastcgitest.End(),
				})}, client, server)
				r := get()
				r.SignalMark = mark
				resp, content, err := do(t, c, r)
				if content != "hello" || err != nil || resp.Body.(*Body).Surplus() != 0 {
					t.Errorf("got %q, %v, surplus %d", content, err, resp.Body.(*Body).Surplus())
				}
			})
		}
	}
}

// TestSignal_FinishWithinContent checks that a response that ends before the content
// that it has announced is truncated, whatever PHP writes afterwards.
func TestSignal_FinishWithinContent(t *testing.T) {
	for name, response := range map[string]fastcgitest.Response{
		"within a chunk": {fastcgitest.Stdout("Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), fastcgitest.Stderr(mark + " finish 1;\n"), fastcgitest.Stdout("lo\r\n0\r\n\r\n")},
		"before content": {fastcgitest.Stderr(mark + " finish 0;\n"), fastcgitest.Stdout("Content-Length: 1\r\n\r\n "), fastcgitest.Stdout("h")},
	} {
		for _, size := range []int{1, 1 << 20} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				client, server := socketPair(t)
				c := serve(t, &fastcgitest.Responder{Handler: respondWith(append(append(fastcgitest.Response{fastcgitest.InPieces(size)}, response...), fastcgitest.End()))}, client, server)
				r := get()
				r.SignalMark = mark
				_, content, err := do(t, c, r)
				if _, ok := errors.AsType[*TruncatedError](err); !ok {
					t.Errorf("got %q, %v, want a TruncatedError", content, err)
				}
			})
		}
	}
}

// TestSignal_InterimTooLate checks that nothing calls the handler of interim responses
// after RoundTrip has returned: what it writes to may be gone by then.
func TestSignal_InterimTooLate(t *testing.T) {
	const early = mark + " early 103 TGluazogPC9hLmNzcz47IHJlbD1wcmVsb2Fk;\n"
	for _, before := range []string{"", "log\n"} {
		returned := make(chan struct{})
		client, server := socketPair(t)
		c := serve(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
			fastcgitest.Stderr(before), fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Wait(returned),
			fastcgitest.Stderr(early), fastcgitest.Stderr(mark + " finish 1;\n"), fastcgitest.Stderr(early), fastcgitest.End(),
		})}, client, server)
		r := get()
		var got interimLog
		r.SignalMark, r.Interim = mark, &got
		resp, err := c.RoundTrip(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		close(returned)
		content, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(content) != "hello" || err != nil || !c.Reusable() || len(got) > 0 {
			t.Errorf("got %q, %v, reusable %t, interim responses %q", content, err, c.Reusable(), got)
		}
	}
}

// TestSignal_TooLong checks that a signal that is too long is dropped, and that the next
// one is not.
func TestSignal_TooLong(t *testing.T) {
	var stderr strings.Builder
	var s stream
	s.init(&stderr)
	s.signalMark = mark
	for range 10 {
		s.writeStderr([]byte(strings.Repeat("x", 8<<10)))
		if s.signals.text == nil {
			s.writeStderr([]byte(mark + " early 103 "))
		}
	}
	s.writeStderr([]byte(";\nlog\n" + mark + " finish 1;\n"))
	s.free()
	if got := stderr.String(); got != strings.Repeat("x", 8<<10)+"log\n" || !s.finished {
		t.Errorf("got %d bytes of log, finished %t", len(got), s.finished)
	}
}
