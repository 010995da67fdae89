package fastcgi

import (
	"io"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// A raw response has the bytes that PHP has sent, without those that signals drop.
func TestRaw_Response(t *testing.T) {
	const head = "Status: 418 A pot of tea\r\nX-b: 1\r\nA: 2\r\nX-B: 3\r\n\r\n"
	for name, tt := range map[string]struct {
		response fastcgitest.Response
		want     string
		status   int
	}{
		"header and content":        {fastcgitest.Response{fastcgitest.Stdout(head + "hello")}, head + "hello", 418},
		"length that is wrong":      {fastcgitest.Response{fastcgitest.Stdout("Content-Length: 3\r\n\r\nhello")}, "Content-Length: 3\r\n\r\nhello", 200},
		"chunked":                   {fastcgitest.Response{fastcgitest.Stdout("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")}, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200},
		"status line":               {fastcgitest.Response{fastcgitest.Stdout("HTTP/1.1 404 Gone\r\nA: b\r\n\r\nx")}, "HTTP/1.1 404 Gone\r\nA: b\r\n\r\nx", 404},
		"no header":                 {fastcgitest.Response{fastcgitest.Stdout("hello")}, "hello", 200},
		"nothing":                   {fastcgitest.Response{}, "", 200},
		"invalid status":            {fastcgitest.Response{fastcgitest.Stdout("Status: 4x8\r\n\r\n")}, "Status: 4x8\r\n\r\n", 200},
		"large":                     {fastcgitest.Response{fastcgitest.Stdout(head + strings.Repeat("0123456789", 40000))}, head + strings.Repeat("0123456789", 40000), 418},
		"finished with content":     {fastcgitest.Response{fastcgitest.Stdout(head + "hello"), fastcgitest.Stderr(mark + " finish 1;\n"), fastcgitest.Stdout("dropped")}, head + "hello", 418},
		"finished with the header":  {fastcgitest.Response{fastcgitest.Stderr(mark + " finish 0;\n"), fastcgitest.Stdout(head + " "), fastcgitest.Stdout("dropped")}, head, 418},
		"header sent early":         {fastcgitest.Response{fastcgitest.Stderr(mark + " headers;\n"), fastcgitest.Stdout(head + " "), fastcgitest.Stdout("hello")}, head + "hello", 418},
		"header sent with content":  {fastcgitest.Response{fastcgitest.Stderr(mark + " headers;\n"), fastcgitest.Stdout(head + " hello")}, head + "hello", 418},
		"early hints are not a CGI": {fastcgitest.Response{fastcgitest.Stderr(mark + " early 103 TGluazogPC9hPg==;\n"), fastcgitest.Stdout(head + "x")}, head + "x", 418},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			if len(tt.want) > 10_000 {
				size *= 1000
			}
			t.Run(name, func(t *testing.T) {
				client, server := socketPair(t)
				response := append(fastcgitest.Response{fastcgitest.InPieces(size)}, tt.response...)
				response = append(response, fastcgitest.End())
				c := serve(t, &fastcgitest.Responder{Handler: respondWith(response)}, client, server)
				r := get()
				r.SignalMark, r.Raw = mark, true
				resp, err := c.RoundTrip(testContext(t), r)
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(resp.Body)
				if string(content) != tt.want || err != nil || resp.StatusCode != tt.status {
					t.Errorf("got %d, %q, %v, want %d, %q", resp.StatusCode, content, err, tt.status, tt.want)
				}
				resp.Body.Close()
				if !c.Reusable() {
					t.Error("the connection cannot be used again")
				}
			})
		}
	}
}
