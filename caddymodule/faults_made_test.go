package caddymodule

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// faultResponses make the responses that are corrupted; each contains the token of
// the request. They differ in how a response is framed.
var faultResponses = []func(token string) fastcgitest.Response{
	func(token string) fastcgitest.Response { return fastcgitest.OK("hello " + token) },
	func(token string) fastcgitest.Response {
		body := "created " + token
		return fastcgitest.Reply(fmt.Sprintf("Status: 201 Created\r\nSet-Cookie: a=%s\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body))
	},
	func(token string) fastcgitest.Response {
		return fastcgitest.Response{
			fastcgitest.Stderr("PHP Warning:  x"), fastcgitest.Stdout("X-A: b\n"), fastcgitest.Stdout("\nin "),
			fastcgitest.Stdout("pieces "), fastcgitest.Stderr("y"), fastcgitest.Stdout(token), fastcgitest.EndStatus(1, 0),
		}
	},
	func(token string) fastcgitest.Response {
		return fastcgitest.Reply("Status: 302 Found\r\nLocation: /" + token + "\r\n\r\n")
	},
}

// longFaultResponse is passed on while it still arrives. Faults are placed near the
// boundaries of its records.
func longFaultResponse(token string) fastcgitest.Response {
	return fastcgitest.OK(token + strings.Repeat("0123456789abcdef", 13000) + token)
}

// fault is a change to the bytes of a response.
type fault struct {
	kind string
	at   int  // offset in bytes
	b    byte // value to insert, or bits to flip
}

// apply returns the bytes that are sent, and the steps that send them. After the
// steps the worker waits for the next request, unless they close the connection.
func (f fault) apply(wire []byte) ([]byte, fastcgitest.Response) {
	at := min(f.at, len(wire))
	head, tail := wire[:at], wire[at:]
	switch f.kind {
	case "cut":
		return head, fastcgitest.Response{fastcgitest.Raw(head), fastcgitest.Close()}
	case "stall":
		wire = head
	case "late": // see injector.respond
	case "delay":
		return wire, fastcgitest.Response{fastcgitest.Raw(head), fastcgitest.Sleep(time.Millisecond), fastcgitest.Raw(tail)}
	case "insert":
		wire = slices.Concat(head, []byte{f.b}, tail)
	case "remove":
		wire = slices.Concat(head, tail[min(1, len(tail)):])
	case "flip":
		if len(tail) > 0 {
			wire = slices.Concat(head, []byte{tail[0] ^ f.b}, tail[1:])
		}
	default:
		panic("bug: unknown fault " + f.kind)
	}
	return wire, fastcgitest.Response{fastcgitest.Raw(wire)}
}

// everyFault calls inject with each kind of fault at each offset of each response; if
// exhaustive, with all byte values.
func everyFault(exhaustive bool, inject func(respond func(string) fastcgitest.Response, method string, f fault)) {
	for _, respond := range faultResponses {
		size := len(fastcgitest.Encode(respond("00000000"), 2))
		for at := range size + 1 {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				inject(respond, method, fault{"cut", at, 0})
			}
			inject(respond, http.MethodGet, fault{"remove", at, 0})
			if exhaustive || at%3 == 0 { // these wait for a timeout
				inject(respond, http.MethodGet, fault{"stall", at, 0})
				inject(respond, http.MethodGet, fault{"delay", at, 0})
			}
			values := []byte{1 << (at % 8), 0xff}
			if exhaustive {
				values = allBytes
			}
			for _, b := range values {
				inject(respond, http.MethodGet, fault{"flip", at, b})
				inject(respond, http.MethodGet, fault{"insert", at, b})
			}
		}
	}
	for at := range len(fastcgitest.Encode(fastcgitest.OK("forged"), 1)) {
		inject(faultResponses[0], http.MethodGet, fault{"late", at, 0})
	}
	const header, content = 8, 65528 // bytes of a record
	for i := range 4 {
		for _, d := range []int{-1, 0, 1, 5, header, header + 1} {
			for _, kind := range []string{"cut", "stall", "delay", "remove", "insert", "flip"} {
				inject(longFaultResponse, http.MethodGet, fault{kind, max(0, i*(header+content)+d), 0x41})
			}
		}
	}
}

var allBytes = func() []byte {
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	return all
}()

// randomFault returns a response, a method and one to three faults.
func randomFault() (respond func(string) fastcgitest.Response, method string, faults []fault) {
	respond, method = faultResponses[rand.IntN(len(faultResponses))], http.MethodGet
	if rand.IntN(50) == 0 {
		respond = longFaultResponse
	}
	if rand.IntN(2) == 0 {
		method = http.MethodPost
	}
	size := len(fastcgitest.Encode(respond("00000000"), 2))
	kinds := []string{"cut", "stall", "remove", "insert", "flip"}
	for range 1 + rand.IntN(3) {
		faults = append(faults, fault{kinds[rand.IntN(len(kinds))], rand.IntN(size), byte(rand.IntN(256))})
	}
	return respond, method, faults
}
