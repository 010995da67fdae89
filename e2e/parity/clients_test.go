//go:build linux

package parity

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// clients are the clients of one side, one per protocol.
type clients struct {
	address, tlsAddress string
	conn                net.Conn // of HTTP/1.1, kept
	in                  *bufio.Reader
	others              map[proto]http.RoundTripper
}

func newClients(t *testing.T, port int) *clients {
	t.Helper()
	c := &clients{address: fmt.Sprint("127.0.0.1:", port), tlsAddress: fmt.Sprint("127.0.0.1:", port+1)}
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "plain.test"}
	over := func(p http.Protocols) *http.Transport {
		return &http.Transport{DisableCompression: true, TLSClientConfig: insecure.Clone(), Protocols: &p}
	}
	var encrypted, plain http.Protocols
	encrypted.SetHTTP2(true)
	plain.SetUnencryptedHTTP2(true)
	c.others = map[proto]http.RoundTripper{
		h2: over(encrypted), h2c: over(plain), h3: &http3.Transport{DisableCompression: true, TLSClientConfig: insecure.Clone()},
	}
	t.Cleanup(func() {
		c.hangUp()
		for _, rt := range c.others {
			if closer, ok := rt.(io.Closer); ok {
				closer.Close()
			} else {
				rt.(*http.Transport).CloseIdleConnections()
			}
		}
	})
	return c
}

// maxWait limits how long a client waits for a response.
const maxWait = time.Minute

// do sends a request and returns what came back.
func (c *clients) do(r *rig, s side, q *request) seen {
	if q.proto == h1 || q.proto == h10 {
		return c.doHTTP1(r, s, q)
	}
	return c.doOther(r, s, q)
}

// doHTTP1 uses the kept connection, or opens one if the last request has ended it.
func (c *clients) doHTTP1(r *rig, s side, q *request) seen {
	got := seen{}
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			got["error"] = err.Error()
			return got
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	c.conn.SetDeadline(time.Now().Add(maxWait))
	c.converse(r, s, q, got)
	if got["connection"] == "kept" && !c.probe(q.site) {
		got["connection"] = "unusable after the response"
		c.hangUp()
	}
	return got
}

func (c *clients) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// probe reports whether the connection serves another request.
func (c *clients) probe(site string) bool {
	fmt.Fprintf(c.conn, "GET /probe-of-the-connection HTTP/1.1\r\nHost: %s.test\r\n\r\n", site)
	res, err := http.ReadResponse(c.in, nil)
	return err == nil && res.StatusCode == 204
}

func (c *clients) converse(r *rig, s side, q *request, got seen) {
	var head strings.Builder
	version := "HTTP/1.1"
	if q.proto == h10 {
		version = "HTTP/1.0"
	}
	fmt.Fprintf(&head, "%s %s %s\r\n", q.method, q.targetOf(s), version)
	if !strings.HasPrefix(strings.ToLower(strings.Join(q.fields, "\n")), "host:") {
		fmt.Fprintf(&head, "Host: %s.test\r\n", q.site)
	}
	for _, f := range q.fields {
		head.WriteString(f + "\r\n")
	}
	b := q.body
	content := ""
	if b != nil {
		content = b.data
		switch {
		case b.chunked:
			head.WriteString("Transfer-Encoding: chunked\r\n")
			if b.trailer != nil {
				head.WriteString("Trailer: X-Trailer\r\n")
			}
			content = chunk(b)
		case b.length != "":
			head.WriteString("Content-Length: " + b.length + "\r\n")
		default:
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(content))
		}
		if b.expect {
			head.WriteString("Expect: 100-continue\r\n")
		}
		if b.cut > 0 {
			content = content[:b.cut]
		}
	}
	head.WriteString("\r\n")
	if b != nil && !b.expect {
		head.WriteString(content)
	}
	// The server may respond before it has read everything.
	conn := c.conn
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.WriteString(conn, head.String())
	}()
	defer func() {
		if got["connection"] != "kept" {
			c.hangUp()
		}
		<-sent
	}()
	if q.leave == leaveBeforeResponse || b != nil && b.cut > 0 {
		<-sent
		if q.during != nil {
			q.during(r, s)
		}
		conn.Close()
		got["connection"] = "left"
		return
	}
	res, err := http.ReadResponse(c.in, &http.Request{Method: q.method})
	for err == nil && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
		got.interim(res.StatusCode, res.Header)
		if res.StatusCode == http.StatusContinue && b != nil && b.expect {
			io.WriteString(conn, content)
		}
		res, err = http.ReadResponse(c.in, &http.Request{Method: q.method})
	}
	if err != nil {
		got["error"] = errorText(err)
		return
	}
	defer res.Body.Close()
	got.head(res)
	switch {
	case len(res.TransferEncoding) > 0:
		got["framing"] = strings.Join(res.TransferEncoding, ", ")
	case res.Header["Content-Length"] != nil:
		got["framing"] = "Content-Length: " + res.Header.Get("Content-Length")
	case res.Close && q.method != "HEAD":
		got["framing"] = "until the connection is closed"
	}
	got.read(r, s, q, res)
	if q.leave == leaveDuringResponse {
		conn.Close()
		got["connection"] = "left"
		return
	}
	if res.Close {
		got["connection"] = "closed"
		return
	}
	if got["ended"] != "whole" {
		got["connection"] = "cut"
		return
	}
	got["connection"] = "kept"
}

// chunk returns a body in chunks, the last one in two writes.
func chunk(b *body) string {
	var text strings.Builder
	for part := b.data; part != ""; {
		n := min(len(part), 3000)
		fmt.Fprintf(&text, "%x\r\n%s\r\n", n, part[:n])
		part = part[n:]
	}
	text.WriteString("0\r\n")
	for _, line := range b.trailer {
		text.WriteString(line + "\r\n")
	}
	return text.String() + "\r\n"
}

// doOther sends a request by HTTP/2 or HTTP/3.
func (c *clients) doOther(r *rig, s side, q *request) seen {
	got := seen{}
	address, scheme := c.tlsAddress, "https"
	if q.proto == h2c {
		address, scheme = c.address, "http"
	}
	u, err := url.ParseRequestURI(q.targetOf(s))
	if err != nil {
		got["error"] = err.Error()
		return got
	}
	u.Scheme, u.Host = scheme, address
	var content io.Reader
	if q.body != nil {
		content = bytes.NewReader([]byte(q.body.data))
		if q.body.chunked {
			content = struct{ io.Reader }{content}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			got.interim(code, http.Header(header))
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, q.method, "http://x/", content)
	if err != nil {
		got["error"] = err.Error()
		return got
	}
	req.URL, req.Host = u, q.site+".test"
	req.Header.Set("User-Agent", "test")
	for _, f := range q.fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header[name] = append(req.Header[name], value)
	}
	if q.leave == leaveBeforeResponse {
		go func() { q.during(r, s); cancel() }()
	}
	res, err := c.others[q.proto].RoundTrip(req)
	if err != nil {
		if q.leave == stay {
			got["error"] = errorText(err)
		}
		return got
	}
	defer res.Body.Close()
	got.head(res)
	if n := res.Header.Get("Content-Length"); n != "" {
		got["framing"] = "Content-Length: " + n
	}
	got.read(r, s, q, res)
	return got
}

// targetOf returns the target with the name of the side.
func (q *request) targetOf(s side) string { return strings.ReplaceAll(q.target, "{side}", s.name()) }

var (
	streamID = regexp.MustCompile(`stream(?: error: stream)? (?:ID )?\d+`)
	ports    = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// errorText returns what is the same for all connections.
func errorText(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "timeout"
	}
	text := streamID.ReplaceAllString(err.Error(), "stream")
	return ports.ReplaceAllString(text, "ADDRESS")
}
