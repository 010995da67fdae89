package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestBody_Chunked(t *testing.T) {
	const coded = "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX: y\r\n\r\nmore"
	for _, tt := range []struct {
		name, field, output, body string
		length                    int64 // ContentLength of the response
		err                       error
	}{
		{"chunked", "chunked", coded, "hello, world", -1, nil},
		{"chunked twice", "chunked\r\nTransfer-Encoding: Chunked", coded, "hello, world", -1, nil},
		{"with a length", "chunked\r\nContent-Length: 3", coded, "hello, world", -1, nil},
		{"large size", "chunked", "0000000000000f\r\n" + strings.Repeat("x", 15) + "\r\n0\r\n\r\n", strings.Repeat("x", 15), -1, nil},
		{"nothing", "chunked", "0\r\n\r\n", "", -1, nil},
		{"no last chunk", "chunked", "5\r\nhello\r\n", "hello", -1, io.ErrUnexpectedEOF},
		{"cut chunk", "chunked", "5\r\nab", "ab", -1, io.ErrUnexpectedEOF},
		{"size too large", "chunked", "1\r\na\r\n1000000000000000\r\nx", "a", -1, io.ErrUnexpectedEOF},
		{"no CR", "chunked", "1\r\na\n", "a", -1, io.ErrUnexpectedEOF},
		{"no LF", "chunked", "1\r\na\r1", "a", -1, io.ErrUnexpectedEOF},
		{"LF in an extension", "chunked", "1\r\na\r\n1;\nb\r\n", "a", -1, io.ErrUnexpectedEOF},
		{"text", "chunked", "hello", "hello", -1, nil},
		{"text like a chunk", "chunked", "5\nhello", "5\nhello", -1, nil},
		{"text with a length", "chunked\r\nContent-Length: 3", "hello", "hel", 3, nil},
		{"digits", "chunked", "5", "5", -1, nil},
		{"digits and CR", "chunked", "5\r", "5\r", -1, nil},
		{"digits and space", "chunked", "5 ", "5 ", -1, nil},
		{"size and space", "chunked", "5 \r\nhello\r\n0\t\r\n\r\n", "hello", -1, nil},
		{"much space", "chunked", "5" + strings.Repeat(" ", 200_000), "5" + strings.Repeat(" ", 200_000), -1, nil},
		{"words", "chunked", "5 apples", "5 apples", -1, nil},
		{"many digits", "chunked", "1234567890123456\r\n", "1234567890123456\r\n", -1, nil},
		{"empty", "chunked", "", "", -1, nil},
		{"another coding", "gzip, chunked", coded, coded, -1, nil},
		{"another coding, too", "gzip\r\nTransfer-Encoding: chunked", coded, coded, -1, nil},
	} {
		for _, pieces := range []int{0, 1, 3} {
			if len(tt.output) > 100_000 {
				pieces *= 1000
			}
			t.Run(fmt.Sprintf("%s/pieces=%d", tt.name, pieces), func(t *testing.T) {
				c := connectSocket(t, respondWith(fastcgitest.Response{
					fastcgitest.InPieces(pieces), fastcgitest.Stdout("Transfer-Encoding: " + tt.field + "\r\n\r\n" + tt.output), fastcgitest.End(),
				}))
				resp, err := c.RoundTrip(testContext(t), get())
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := resp.Header["Content-Length"]; resp.ContentLength != tt.length || ok != (tt.length >= 0) {
					t.Errorf("got length %d, header %v, want %d", resp.ContentLength, resp.Header, tt.length)
				}
				body, err := io.ReadAll(resp.Body)
				if string(body) != tt.body || !errors.Is(err, tt.err) {
					t.Errorf("got %q, error %v, want %q, %v", body, err, tt.body, tt.err)
				}
				resp.Body.Close()
				if !c.Reusable() {
					t.Error("the connection is not reusable")
				}
			})
		}
	}
}

// FuzzChunked compares with net/http's decoder, in one piece and in two.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 7)
	f.Add([]byte("a;b=c\r\n0123456789\r\nA \r\n0123456789\r\n0\r\nT: x\r\n\r\n"), 20)
	f.Add([]byte("5\r\nab"), 1)
	f.Add([]byte("5\nhello\n0\n\n"), 1)
	f.Fuzz(func(t *testing.T, p []byte, at int) {
		if at < 0 || at > len(p) {
			return
		}
		var whole, parts chunkedDecoder
		got := whole.decode(bytes.Clone(p))
		inParts := append(parts.decode(bytes.Clone(p[:at])), parts.decode(bytes.Clone(p[at:]))...)
		if !bytes.Equal(got, inParts) || whole != parts {
			t.Fatalf("got %q, %+v, in two pieces %q, %+v", got, whole, inParts, parts)
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(p)))
		if whole.problem() == "" && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("got %q, net/http has %q, %v", got, want, err)
		}
	})
}
