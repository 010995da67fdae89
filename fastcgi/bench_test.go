package fastcgi

import (
	"context"
	"encoding/binary"
	"net"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// addParams adds about as many parameters as a browser's request has.
func addParams(r *Request) {
	r.AddParam("GATEWAY_INTERFACE", "CGI/1.1")
	r.AddParam("SERVER_PROTOCOL", "HTTP/1.1")
	r.AddParam("SERVER_SOFTWARE", "Caddy")
	r.AddParam("REQUEST_METHOD", "GET")
	r.AddParam("SCRIPT_FILENAME", "/srv/www/index.php")
	r.AddParam("SCRIPT_NAME", "/index.php")
	r.AddParam("DOCUMENT_ROOT", "/srv/www")
	r.AddParam("REQUEST_URI", "/?page=1")
	r.AddParam("QUERY_STRING", "page=1")
	r.AddParam("REMOTE_ADDR", "192.0.2.1")
	r.AddParam("REMOTE_PORT", "54321")
	r.AddHeader("Host", hostValue)
	r.AddHeader("User-Agent", agentValue)
	r.AddHeader("Accept-Encoding", encodingValue)
	r.AddHeader("Cookie", cookieValue)
}

var (
	hostValue     = []string{"example.com"}
	agentValue    = []string{"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
	encodingValue = []string{"gzip, deflate, br, zstd"}
	cookieValue   = []string{"a=1", "b=2"}
)

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		encodeOnce()
	}
}

func encodeOnce() {
	r := NewRequest()
	addParams(r)
	if _, mark, _, err := r.seal(); err == nil {
		r.unseal(mark)
	}
	r.Free()
}

// headOfPHP is the header of a page that sets none itself.
const headOfPHP = "X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n"

func BenchmarkParseHead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseHead(headOfPHP); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip sends requests over a unix socket to a peer with a prepared
// response, so that nearly all of the time is spent in RoundTrip.
func BenchmarkRoundTrip(b *testing.B) {
	client, server := socketPair(b)
	go repeatResponse(server)
	c := NewConn(client)
	b.Run("background", func(b *testing.B) { benchmarkRoundTrip(context.Background(), b, c, addParams) })
	b.Run("cancelable", func(b *testing.B) { benchmarkRoundTrip(b.Context(), b, c, addParams) })
}

func benchmarkRoundTrip(ctx context.Context, b *testing.B, c *Conn, add func(*Request)) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		roundTripOnce(ctx, b, c, add)
	}
}

// repeatResponse responds to every read with the same prepared response.
func repeatResponse(server net.Conn) {
	response := fastcgitest.Encode(fastcgitest.Reply(
		"X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nhello"), requestID)
	buf := make([]byte, 64<<10)
	for {
		if _, err := server.Read(buf); err != nil {
			return
		}
		// Set the id of the request in every record.
		for record := response; len(record) > 0; {
			copy(record[2:4], buf[2:4])
			record = record[8+int(binary.BigEndian.Uint16(record[4:]))+int(record[6]):]
		}
		if _, err := server.Write(response); err != nil {
			return
		}
	}
}

// roundTripOnce sends a request to repeatResponse and reads the response.
func roundTripOnce(ctx context.Context, tb testing.TB, c *Conn, add func(*Request)) {
	tb.Helper()
	if err := c.Check(); err != nil {
		tb.Fatal(err)
	}
	r := NewRequest()
	add(r)
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		tb.Fatal(err)
	}
	body := resp.Body.(*Body)
	if !body.Fill(MaxFill) {
		tb.Fatal("the response is not complete")
	}
	if p, err := body.Next(); string(p) != "hello" || err != nil {
		tb.Fatalf("got body %q, error %v, want hello", p, err)
	}
	body.Close()
	r.Free()
}

// socketPair returns the two ends of a connection to php-cgi.
func socketPair(tb testing.TB) (client, server net.Conn) {
	tb.Helper()
	l := listenAsPHP(tb)
	defer l.Close()
	client, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}
