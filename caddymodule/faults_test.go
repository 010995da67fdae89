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

var faultsFor = flag.Duration("faults", 0, "for how long to inject every wrong byte at every place, and then faults at random")

// injector is a site with one worker, whose answers it spoils.
type injector struct {
	*testing.T
	patient, hurried *Handler
	open             atomic.Int64 // connections, at the worker's end
	launched         atomic.Int64
	asked            int

	mu     sync.Mutex
	answer func(token string) fastcgitest.Response
	spoil  []fault
	token  string // of the request whose answer is spoilt, at its first try
	// arrived: the client has the answer; written: late bytes have followed it.
	arrived, written chan struct{}
	// What the spoilt answer came to, and the numbers of the connections over
	// which it and the last one went; 0 is none.
	wire   []byte
	seen   spoilt
	victim int64
	by     int64
}

// readLimit is how long an answer that is not whole is waited for.
const readLimit = 50 * time.Millisecond

func newInjector(t *testing.T, root string) *injector {
	t.Helper()
	in := &injector{T: t}
	in.patient = fakeSite(t, root, 1, func(c net.Conn) {
		number := in.launched.Add(1)
		in.open.Add(1)
		defer in.open.Add(-1)
		fastcgitest.Serve(c, func(r *fastcgitest.Request) fastcgitest.Response { return in.reply(r, number) })
	})
	hurried := *in.patient
	hurried.ReadTimeout = caddy.Duration(readLimit)
	in.hurried = &hurried
	return in
}

// response answers a request, spoilt once.
func (in *injector) reply(r *fastcgitest.Request, number int64) fastcgitest.Response {
	in.mu.Lock()
	defer in.mu.Unlock()
	wire := fastcgitest.Encode(in.answer(r.Params["QUERY_STRING"]), r.ID)
	steps := fastcgitest.Response{fastcgitest.Raw(wire)}
	var spoil []fault
	if r.Params["QUERY_STRING"] == in.token {
		spoil = in.spoil
	}
	for _, f := range spoil {
		wire, steps = f.apply(wire)
	}
	if len(spoil) == 1 && spoil[0].kind == "late" {
		// What the next request would take for its answer, when nobody has asked.
		forged := fastcgitest.Encode(fastcgitest.OK("forged"), r.ID+1)[spoil[0].at:]
		written := func(*fastcgitest.Wire) error {
			close(in.written)
			return nil
		}
		steps = append(steps, fastcgitest.Wait(in.arrived), fastcgitest.Raw(forged), fastcgitest.Flush(), written)
		wire = append(wire, forged...)
	}
	if spoil != nil {
		in.spoil, in.wire, in.seen, in.victim = nil, wire, read(wire, r.ID), number
	}
	in.by = number
	return steps
}

// got is what the client saw.
type got struct {
	status int
	body   []byte
	broken bool // the answer, after it had begun
}

// staged is the token of the next request.
func (in *injector) next() string { return fmt.Sprintf("%08d", in.asked+1) }

// send sends a request by one of both ways, and returns what came of it.
func (in *injector) ask(h *Handler, method string, proxied bool) (got, string) {
	in.Helper()
	token := in.next()
	in.asked++
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("body of " + token)
	}
	ctx, cancel := context.WithTimeout(in.Context(), time.Minute)
	defer cancel()
	r := prepareRequest(httptest.NewRequestWithContext(ctx, method, "http://example.com/index.php?"+token, body), new(caddyhttp.Server))
	var g got
	if proxied {
		g = roundTrip(h, r)
	} else {
		g = handle(h, r)
	}
	if ctx.Err() != nil {
		in.Error("it hangs")
	}
	return g, token
}

func handle(h *Handler, r *http.Request) (g got) {
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil && !errors.Is(p.(error), http.ErrAbortHandler) {
			panic(p)
		} else if p != nil {
			g = got{w.Code, w.Body.Bytes(), true}
		}
	}()
	if err := h.ServeHTTP(w, r, nil); err != nil {
		return got{status: judgedStatus(err)}
	}
	return got{status: w.Code, body: w.Body.Bytes()}
}

func roundTrip(h *Handler, r *http.Request) got {
	resp, err := (&Transport{h.Backend}).RoundTrip(r)
	if err != nil {
		return got{status: judgedStatus(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, body, err != nil}
}

func judgedStatus(err error) int {
	handled, _ := errors.AsType[caddyhttp.HandlerError](err)
	return handled.StatusCode
}

// inject spoils one answer, and looks at what that came to and at the next.
func (in *injector) inject(answer func(string) fastcgitest.Response, method string, faults []fault) {
	in.Helper()
	in.mu.Lock()
	in.answer, in.spoil, in.token, in.victim = answer, faults, in.next(), 0
	in.arrived, in.written = make(chan struct{}), make(chan struct{})
	in.mu.Unlock()
	// Whether the answer is whole is told by another of the same length.
	sample := fastcgitest.Encode(answer("00000000"), 2)
	for _, f := range faults {
		sample, _ = f.apply(sample)
	}
	h := in.hurried
	if read(sample, 2).whole {
		h = in.patient // what is whole needs no limit, however busy the machine is
	}
	proxied := in.asked%3 == 0
	g, token := in.ask(h, method, proxied)
	if faults[0].kind == "late" {
		close(in.arrived)
		<-in.written
	}
	in.mu.Lock()
	wire, seen, victim := in.wire, in.seen, in.victim
	seen.retried = in.by != victim
	in.mu.Unlock()
	what := fmt.Sprintf("%s (proxied: %v), %v, sent %.100q", method, proxied, faults, wire)
	if victim == 0 { // the machine was so busy that time was up before the worker saw the request
		if g.status != http.StatusGatewayTimeout {
			in.Errorf("%s: the worker was not asked; the client got %d", what, g.status)
			return
		}
		in.inject(answer, method, faults)
		return
	}
	want := read(fastcgitest.Encode(answer(token), 1), 1).stdout
	if problem := judge(g, &seen, want, method); problem != "" {
		in.Errorf("%s: %s: %d, %.80q (%d bytes, broken: %v)", what, problem, g.status, g.body, len(g.body), g.broken)
	}
	next, token := in.ask(in.patient, http.MethodGet, proxied)
	_, body := cutHead(read(fastcgitest.Encode(answer(token), 1), 1).stdout)
	if next.broken || next.status >= 400 || !bytes.Equal(next.body, body) {
		in.Errorf("%s: the next request got %d, %.80q", what, next.status, next.body)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if clean := seen.whole && seen.size == len(wire); !clean && in.by == victim {
		in.Errorf("%s: the worker was not replaced", what)
	}
	if n := in.open.Load(); n > 3 { // of the worker, of one that ends and of one that is launched
		in.Errorf("%s: %d connections are open", what, n)
	}
}

// TestNoFaultOfAWorkerReachesAnotherClient cuts, delays and changes what workers
// answer at every place: it ends in a correct answer where it does not matter,
// else in a 502 or 504 or a broken answer, and in another worker; whoever asks
// next gets their own answer; and nothing is left behind.
func TestNoFaultOfAWorkerReachesAnotherClient(t *testing.T) {
	type task struct {
		answer func(string) fastcgitest.Response
		method string
		faults []fault
	}
	before := runtime.NumGoroutine()
	injected := 0
	t.Run("lanes", func(t *testing.T) {
		root := testfiles.Write(t, "index.php")
		tasks := make(chan task)
		var lanes sync.WaitGroup
		for range 32 { // most of them wait
			in := newInjector(t, root)
			lanes.Go(func() {
				for next := range tasks {
					in.inject(next.answer, next.method, next.faults)
				}
			})
		}
		began := time.Now()
		give := func(answer func(string) fastcgitest.Response, method string, faults ...fault) {
			if !t.Failed() && (*faultsFor == 0 || time.Since(began) < *faultsFor) {
				injected++
				tasks <- task{answer, method, faults}
			}
		}
		everyFault(*faultsFor > 0, func(answer func(string) fastcgitest.Response, method string, f fault) { give(answer, method, f) })
		t.Logf("%d of them each at its place", injected)
		for time.Since(began) < *faultsFor && !t.Failed() {
			answer, method, faults := randomFault()
			give(answer, method, faults...)
		}
		close(tasks)
		lanes.Wait()
	})
	t.Logf("%d faults were injected", injected)
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		stacks := make([]byte, 64<<10)
		t.Errorf("%d goroutines, and there were %d:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
}
