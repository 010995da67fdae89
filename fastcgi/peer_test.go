package fastcgi

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"strconv"
	"strings"
	"testing"
)

// TestConn_NetHTTPFCGI uses the standard library's application side as an
// independent peer. It needs a full set of CGI variables and, unlike php-cgi, ends
// STDOUT with an empty record. It also ends GET_VALUES_RESULT in this way, as if it
// were a stream, so there is no Handshake here.
func TestConn_NetHTTPFCGI(t *testing.T) {
	l := listenAsPHP(t)
	defer l.Close()
	go fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the body: %v", err)
		}
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("X-Query", r.URL.RawQuery)
		w.Header().Set("X-Agent", r.UserAgent())
		w.WriteHeader(http.StatusAccepted)
		w.Write(body)
	}))
	nc, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc)
	defer c.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	for i, size := range []int{0, 1, 5000, 65_535, 65_536, len(data)} {
		r := NewRequest()
		r.AddParam("REQUEST_METHOD", "POST")
		r.AddParam("SERVER_PROTOCOL", "HTTP/1.1")
		r.AddParam("REQUEST_URI", "/?n="+strconv.Itoa(i))
		r.AddParam("CONTENT_LENGTH", strconv.Itoa(size))
		r.AddHeader("Host", []string{"example.com"})
		r.AddHeader("User-Agent", []string{strings.Repeat("x", 1000)})
		r.Body, r.ContentLength = bytes.NewReader(data), int64(size)
		resp, body, err := do(t, c, r)
		r.Free()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 202 || resp.Status != "202 Accepted" || body != string(data[:size]) {
			t.Errorf("body of %d bytes: got %s and %d bytes back", size, resp.Status, len(body))
		}
		if got := fmt.Sprint(resp.Header["Set-Cookie"], resp.Header["X-Query"]); got != fmt.Sprintf("[a=1 b=2] [n=%d]", i) {
			t.Errorf("got %s", got)
		}
		if got := resp.Header.Get("X-Agent"); len(got) != 1000 {
			t.Errorf("got a user agent of %d bytes, want 1000", len(got))
		}
		if !c.Reusable() {
			t.Fatalf("body of %d bytes: not reusable", size)
		}
	}
}
