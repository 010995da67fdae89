package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

var faultsFor = flag.Duration("faults", 0, "inject every wrong byte at every offset, then random faults, for this long")

// injector corrupts responses of the only worker of a site.
type injector struct {
	*testing.T
	withoutTimeout, withTimeout *Handler     // read_timeout off and readTimeout
	open                        atomic.Int64 // connections at the worker's end
	launched                    atomic.Int64
	sent                        int // requests

	mu       sync.Mutex
	response func(token string) fastcgitest.Response
	faults   []fault
	token    string // of the request whose first response is corrupted
	// The client has received the response; late bytes have been written after it.
	arrived, written chan struct{}
	wire             []byte    // the corrupted response
	decoded          corrupted // the same
	// Numbers of the connections that the corrupted response and the last
	// response used; 0 if the worker got no request.
	victim, last int64
}

// readTimeout is the read_timeout for incomplete responses.
const readTimeout = 50 * time.Millisecond

func newInjector(t *testing.T, root string) *injector {
	t.Helper()
	in := &injector{T: t}
	in.withoutTimeout = fakeSite(t, root, 1, func(c net.Conn) {
		number := in.launched.Add(1)
		in.open.Add(1)
		defer in.open.Add(-1)
		fastcgitest.Serve(c, func(r *fastcgitest.Request) fastcgitest.Response { return in.respond(r, number) })
	})
	withTimeout := *in.withoutTimeout
	withTimeout.ReadTimeout = caddy.Duration(readTimeout)
	in.withTimeout = &withTimeout
	return in
}

// respond returns the response to a request on the connection with that number, and
// applies the faults to the first response that has the token.
func (in *injector) respond(r *fastcgitest.Request, number int64) fastcgitest.Response {
	in.mu.Lock()
	defer in.mu.Unlock()
	wire := fastcgitest.Encode(in.response(r.Params["QUERY_STRING"]), r.ID)
	steps := fastcgitest.Response{fastcgitest.Raw(wire)}
	var faults []fault
	if r.Params["QUERY_STRING"] == in.token {
		faults = in.faults
	}
	for _, f := range faults {
		wire, steps = f.apply(wire)
	}
	if len(faults) == 1 && faults[0].kind == "late" {
		// A response to the next request, sent before that request.
		forged := fastcgitest.Encode(fastcgitest.OK("forged"), r.ID+1)[faults[0].at:]
		written := func(*fastcgitest.Wire) error {
			close(in.written)
			return nil
		}
		steps = append(steps, fastcgitest.Wait(in.arrived), fastcgitest.Raw(forged), fastcgitest.Flush(), written)
		wire = append(wire, forged...)
	}
	if faults != nil {
		in.faults, in.wire, in.decoded, in.victim = nil, wire, decode(wire, r.ID), number
	}
	in.last = number
	return steps
}

// result is a response as the client received it.
type result struct {
	status  int
	body    []byte
	aborted bool // after the header
}

// nextToken returns the token of the next request.
func (in *injector) nextToken() string { return fmt.Sprintf("%08d", in.sent+1) }

// send sends a request to the handler, or to its transport if proxied, and returns
// the result and the token of the request.
func (in *injector) send(h *Handler, method string, proxied bool) (result, string) {
	in.Helper()
	token := in.nextToken()
	in.sent++
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("body of " + token)
	}
	ctx, cancel := context.WithTimeout(in.Context(), time.Minute)
	defer cancel()
	r := prepareRequest(httptest.NewRequestWithContext(ctx, method, "http://example.com/index.php?"+token, body), new(caddyhttp.Server))
	var res result
	if proxied {
		res = roundTrip(h, r)
	} else {
		res = serveHTTP(h, r)
	}
	if ctx.Err() != nil {
		in.Error("no response within a minute")
	}
	return res, token
}

func serveHTTP(h *Handler, r *http.Request) (res result) {
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil && !errors.Is(p.(error), http.ErrAbortHandler) {
			panic(p)
		} else if p != nil {
			res = result{w.Code, w.Body.Bytes(), true}
		}
	}()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		return result{status: handlerStatus(err)}
	}
	return result{status: w.Code, body: w.Body.Bytes()}
}

func roundTrip(h *Handler, r *http.Request) result {
	resp, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
	if err != nil {
		return result{status: handlerStatus(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return result{resp.StatusCode, body, err != nil}
}

// handlerStatus returns the status of the HandlerError that err wraps, or 0.
func handlerStatus(err error) int {
	handled, _ := errors.AsType[caddyhttp.HandlerError](err)
	return handled.StatusCode
}

// inject corrupts one response, and checks its result and that of the next request.
func (in *injector) inject(respond func(string) fastcgitest.Response, method string, faults []fault) {
	in.Helper()
	in.mu.Lock()
	in.response, in.faults, in.token, in.victim = respond, faults, in.nextToken(), 0
	in.arrived, in.written = make(chan struct{}), make(chan struct{})
	in.mu.Unlock()
	// Find out if the response will be complete, with one of the same length.
	sample := fastcgitest.Encode(respond("00000000"), 2)
	for _, f := range faults {
		sample, _ = f.apply(sample)
	}
	h := in.withTimeout
	if decode(sample, 2).whole {
		h = in.withoutTimeout // on a busy machine the timeout would expire too early
	}
	proxied := in.sent%3 == 0
	res, token := in.send(h, method, proxied)
	if faults[0].kind == "late" {
		close(in.arrived)
		<-in.written
	}
	in.mu.Lock()
	wire, decoded, victim := in.wire, in.decoded, in.victim
	decoded.retried = in.last != victim
	in.mu.Unlock()
	label := fmt.Sprintf("%s (proxied: %v), %v, sent %.100q", method, proxied, faults, wire)
	if victim == 0 { // on a busy machine the timeout expires before the worker gets the request
		if res.status != http.StatusGatewayTimeout {
			in.Errorf("%s: the worker got no request; the client got %d", label, res.status)
			return
		}
		in.inject(respond, method, faults)
		return
	}
	want := decode(fastcgitest.Encode(respond(token), 1), 1).stdout
	if problem := judge(res, &decoded, want, method); problem != "" {
		in.Errorf("%s: %s: %d, %.80q (%d bytes, aborted: %v)", label, problem, res.status, res.body, len(res.body), res.aborted)
	}
	next, token := in.send(in.withoutTimeout, http.MethodGet, proxied)
	_, body := splitHead(decode(fastcgitest.Encode(respond(token), 1), 1).stdout)
	if next.aborted || next.status >= 400 || !bytes.Equal(next.body, body) {
		in.Errorf("%s: the next request got %d, %.80q", label, next.status, next.body)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if clean := decoded.whole && decoded.size == len(wire); !clean && in.last == victim {
		in.Errorf("%s: the worker was not replaced", label)
	}
	if n := in.open.Load(); n > 3 { // a worker, one that stops and one that starts
		in.Errorf("%s: %d connections are open", label, n)
	}
}

// TestFaults_NeverReachAnotherClient truncates, delays and changes responses of
// workers at every offset. Where that makes no difference the client must get the
// correct response, otherwise 502, 504 or an aborted response, and the worker must
// be replaced. The next request must get its own response, and no goroutine is left.
func TestFaults_NeverReachAnotherClient(t *testing.T) {
	type task struct {
		respond func(string) fastcgitest.Response
		method  string
		faults  []fault
	}
	before := runtime.NumGoroutine()
	injected := 0
	t.Run("workers", func(t *testing.T) {
		root := testfiles.Write(t, "index.php")
		tasks := make(chan task)
		var wg sync.WaitGroup
		for range 32 { // most of the time they wait
			in := newInjector(t, root)
			wg.Go(func() {
				for next := range tasks {
					in.inject(next.respond, next.method, next.faults)
				}
			})
		}
		start := time.Now()
		add := func(respond func(string) fastcgitest.Response, method string, faults ...fault) {
			if !t.Failed() && (*faultsFor == 0 || time.Since(start) < *faultsFor) {
				injected++
				tasks <- task{respond, method, faults}
			}
		}
		everyFault(*faultsFor > 0, func(respond func(string) fastcgitest.Response, method string, f fault) { add(respond, method, f) })
		t.Logf("injected %d faults, one at each offset", injected)
		for time.Since(start) < *faultsFor && !t.Failed() {
			respond, method, faults := randomFault()
			add(respond, method, faults...)
		}
		close(tasks)
		wg.Wait()
	})
	t.Logf("injected %d faults", injected)
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		stacks := make([]byte, 64<<10)
		t.Errorf("got %d goroutines, want the %d of before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
}
