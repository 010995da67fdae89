package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestAppendPair(t *testing.T) {
	long := strings.Repeat("v", 128)
	for _, tt := range []struct {
		name, value string
		want        string
	}{
		{"", "", "\x00\x00"},
		{"A", "", "\x01\x00A"},
		{"NAME", "value", "\x04\x05NAMEvalue"},
		{"N", long[:127], "\x01\x7fN" + long[:127]},
		{"N", long, "\x01\x80\x00\x00\x80N" + long},
		{long, "x", "\x80\x00\x00\x80\x01" + long + "x"},
	} {
		got, err := AppendPair([]byte("before"), tt.name, tt.value)
		if err != nil {
			t.Errorf("AppendPair(%q, %q): %v", tt.name, tt.value, err)
			continue
		}
		if string(got) != "before"+tt.want {
			t.Errorf("AppendPair(%q, %q) = %q, want %q", tt.name, tt.value, got, "before"+tt.want)
		}
		name, value, size := nextPair([]byte(tt.want + "after"))
		if string(name) != tt.name || string(value) != tt.value || size != len(tt.want) {
			t.Errorf("nextPair: got %q, %q, %d, want %q, %q, %d", name, value, size, tt.name, tt.value, len(tt.want))
		}
	}
}

func TestNextPair_Incomplete(t *testing.T) {
	whole := "\x01\x80\x00\x00\x80N" + strings.Repeat("v", 128)
	for n := range len(whole) {
		if _, _, size := nextPair([]byte(whole[:n])); size != 0 {
			t.Errorf("nextPair of the first %d bytes: got size %d, want 0", n, size)
		}
	}
	huge := "\xff\xff\xff\xff\xff\xff\xff\xffxx"
	if _, _, size := nextPair([]byte(huge)); size != 0 {
		t.Errorf("nextPair of a pair of 4 GB: got size %d, want 0", size)
	}
}

// readSealed seals r and reads it as a responder would.
func readSealed(tb testing.TB, r *Request) *fastcgitest.Request {
	tb.Helper()
	first, mark, complete, err := r.seal()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.unseal(mark)
	if !complete {
		tb.Fatal("the request is too large for one write")
	}
	got, err := fastcgitest.ReadRequest(bytes.NewReader(first))
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestRequest_NoParams(t *testing.T) {
	r := NewRequest()
	defer r.Free()
	first, _, _, err := r.seal()
	if err != nil {
		t.Fatal(err)
	}
	want := "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00" + // BEGIN_REQUEST, RESPONDER, KEEP_CONN
		"\x01\x04\x00\x01\x00\x00\x00\x00" + // PARAMS, empty
		"\x01\x05\x00\x01\x00\x00\x00\x00" // STDIN, empty
	if string(first) != want {
		t.Errorf("got %q, want %q", first, want)
	}
}

func TestRequest_ShortBodyInFirstWrite(t *testing.T) {
	r := NewRequest()
	defer r.Free()
	r.AddParam("A", "b")
	r.Body, r.ContentLength = strings.NewReader("body and more"), 4
	first, _, complete, err := r.seal()
	if err != nil || !complete {
		t.Fatalf("seal: got complete %v, error %v", complete, err)
	}
	want := "\x01\x04\x00\x01\x00\x04\x00\x00" + "\x01\x01Ab" +
		"\x01\x04\x00\x01\x00\x00\x00\x00" +
		"\x01\x05\x00\x01\x00\x04\x00\x00" + "body" +
		"\x01\x05\x00\x01\x00\x00\x00\x00"
	if got := string(first[16:]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequest_SealAgain(t *testing.T) {
	r := NewRequest()
	defer r.Free()
	want := map[string]string{}
	for _, name := range []string{"A", "B", "C"} {
		r.AddParam(name, "value of "+name)
		want[name] = "value of " + name
		if got := readSealed(t, r); !maps.Equal(got.Params, want) {
			t.Errorf("got %v, want %v", got.Params, want)
		}
	}
}

func TestRequest_PairsNotSplitAcrossRecords(t *testing.T) {
	r := NewRequest()
	defer r.Free()
	want := map[string]string{}
	for i := range 3000 {
		name, value := fmt.Sprintf("NAME_%d", i), strings.Repeat("v", i%300)
		r.AddParam(name, value)
		want[name] = value
	}
	first, _, _, err := r.seal()
	if err != nil {
		t.Fatal(err)
	}
	// The request is larger than maxInline. The end of STDIN is included only
	// because there is no body.
	got, err := fastcgitest.ReadRequest(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Params, want) {
		t.Error("the received parameters differ from those that were added")
	}
	if got.ParamRecords < 2 {
		t.Errorf("got %d PARAMS records, want more than one", got.ParamRecords)
	}
}

func TestRequest_LargestPair(t *testing.T) {
	const maxBytes = maxContent - 1 - 4 - len("N")
	r := NewRequest()
	defer r.Free()
	r.AddParam("FIRST", "1")
	r.AddParam("N", strings.Repeat("v", maxBytes))
	r.AddParam("LAST", "2")
	if r.Err() != nil {
		t.Fatalf("pair of %d bytes: %v", maxContent, r.Err())
	}
	first, _, _, err := r.seal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := fastcgitest.ReadRequest(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Params["N"]) != maxBytes || got.Params["FIRST"] != "1" || got.Params["LAST"] != "2" || got.ParamRecords != 3 {
		t.Errorf("got %d parameters in %d records, want 3 in 3", len(got.Params), got.ParamRecords)
	}

	r.AddParam("N", strings.Repeat("v", maxBytes+1))
	e, ok := errors.AsType[*ParamError](r.Err())
	if !ok || e.Name != "N" || e.Size != maxContent+1 || e.NUL {
		t.Errorf("pair of %d bytes: got %#v, want a ParamError", maxContent+1, r.Err())
	}
}

func TestRequestErr_FirstInvalidParam(t *testing.T) {
	large := strings.Repeat("x", maxContent)
	for name, add := range map[string]func(*Request){
		"NUL in a value":        func(r *Request) { r.AddParam("BAD", "x\x00y") },
		"NUL in a name":         func(r *Request) { r.AddParam("BAD\x00", "x") },
		"too large":             func(r *Request) { r.AddParam("BAD", large) },
		"NUL in a header":       func(r *Request) { r.AddHeader("BAD", []string{"x", "\x00"}) },
		"header too large":      func(r *Request) { r.AddHeader("BAD", []string{large[1:], "x"}) },
		"truncated block":       func(r *Request) { r.AddEncoded([]byte("\x04\x05BAD")) },
		"encoded pair too long": func(r *Request) { r.AddEncoded([]byte("\x03\x80\x01\x00\x00BAD" + large + "x")) },
	} {
		r := NewRequest()
		r.AddParam("GOOD", "1")
		add(r)
		first := r.Err()
		if _, ok := errors.AsType[*ParamError](first); !ok {
			t.Errorf("%s: got error %v, want a ParamError", name, first)
		}
		r.AddParam("WORSE", "\x00")
		if !errors.Is(r.Err(), first) {
			t.Errorf("%s: after a second error: got %v, want the first", name, r.Err())
		}
		r.Free()
	}
	if _, err := EncodePairs([2]string{"GOOD", "1"}, [2]string{"BAD", "\x00"}); err == nil {
		t.Error("EncodePairs accepts a NUL byte")
	}
}

func TestRequestAddHeader(t *testing.T) {
	r := NewRequest()
	defer r.Free()
	r.AddHeader("User-Agent", []string{"Firefox"})
	r.AddHeader("cookie", []string{"a=1", "b=2"})
	r.AddHeader("X-Forwarded-For", []string{"192.0.2.1", "192.0.2.2", ""})
	r.AddHeader("X-Empty", nil)
	r.AddHeader("Accept", []string{strings.Repeat("x", 200)})
	want := map[string]string{
		"HTTP_USER_AGENT":      "Firefox",
		"HTTP_COOKIE":          "a=1; b=2",
		"HTTP_X_FORWARDED_FOR": "192.0.2.1, 192.0.2.2, ",
		"HTTP_X_EMPTY":         "",
		"HTTP_ACCEPT":          strings.Repeat("x", 200),
	}
	if got := readSealed(t, r).Params; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRequestAddEncoded_SplitsBetweenPairs(t *testing.T) {
	var block []byte
	want := map[string]string{}
	for i := range 700 {
		name, value := fmt.Sprintf("N%d", i), strings.Repeat("v", i)
		var err error
		if block, err = AppendPair(block, name, value); err != nil {
			t.Fatal(err)
		}
		want[name] = value
	}
	r := NewRequest()
	defer r.Free()
	r.AddParam("FIRST", "1")
	want["FIRST"] = "1"
	r.AddEncoded(block)
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	first, _, _, err := r.seal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := fastcgitest.ReadRequest(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Params, want) {
		t.Error("the received parameters differ from those that were encoded")
	}
}

// FuzzParams adds arbitrary parameters in each of the three ways, and reads them
// with a responder that is as strict as php-cgi.
func FuzzParams(f *testing.F) {
	f.Add("NAME", "value", uint16(1))
	f.Add("", "", uint16(300))
	f.Add("NUL", "\x00", uint16(1))
	f.Add(strings.Repeat("n", 128), strings.Repeat("v", 70000), uint16(2))
	f.Fuzz(func(t *testing.T, name, value string, times uint16) {
		r := NewRequest()
		defer r.Free()
		want := map[string]string{}
		for i := range times % 1000 {
			n := fmt.Sprintf("%s%d", name, i)
			switch i % 3 {
			case 0:
				r.AddParam(n, value)
				want[n] = value
			case 1:
				r.AddHeader(n, []string{value, value})
				want["HTTP_"+string(appendHeaderName(nil, n))] = value + headerSeparator(n) + value
			case 2:
				block, err := EncodePairs([2]string{n, value}, [2]string{"last", value})
				if err != nil {
					r.AddParam(n, value) // must fail too
				}
				r.AddEncoded(block)
				want[n], want["last"] = value, value
			}
		}
		if r.Err() != nil {
			if e, ok := errors.AsType[*ParamError](r.Err()); !ok || (!e.NUL && e.Size <= maxContent) {
				t.Fatalf("unjustified error: %v", r.Err())
			}
			return
		}
		first, _, _, err := r.seal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := fastcgitest.ReadRequest(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got.Params, want) {
			t.Errorf("got %q, want %q", got.Params, want)
		}
	})
}
