//go:build linux

package webservers

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// request is a row of a table.
type request struct {
	name    string // default: method and target
	method  string // default: GET
	target  string
	fields  []string
	body    string
	chunked bool   // no Content-Length
	cut     int    // send so many bytes of the body only, if it is not 0
	php     string // the code of the script that the request is for; target follows its path
	only    string // for this web server alone
	not     string // not for this one
}

// in reports whether the request is for a front.
func (q *request) in(f front) bool {
	return (q.only == "" || f.program == q.only) && f.program != q.not
}

func (q *request) String() string {
	if q.name != "" {
		return q.name
	}
	return q.method + " " + q.target
}

// complete returns the request with its defaults, and adds its script to code.
func (q request) complete(code map[string]string) request {
	if q.method == "" {
		q.method = "GET"
	}
	if q.php == "" {
		return q
	}
	name := fmt.Sprintf("s%03d.php", len(code))
	for other, text := range code {
		if text == q.php {
			name = other
		}
	}
	code[name] = q.php
	if q.name == "" {
		q.name = q.php
	}
	q.target = "/code/" + name + q.target
	return q
}

// bytes returns the request as it is sent.
func (q *request) bytes() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n", q.method, q.target)
	for _, field := range q.fields {
		out.WriteString(field + "\r\n")
	}
	switch {
	case q.chunked:
		out.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for body := q.body; body != ""; {
			n := min(len(body), 10_000)
			fmt.Fprintf(&out, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		out.WriteString("0\r\n\r\n")
	case q.body != "" || q.method == "POST" || q.method == "PUT":
		fmt.Fprintf(&out, "Content-Length: %d\r\n\r\n%s", len(q.body), q.body[:cmp.Or(q.cut, len(q.body))])
	default:
		out.WriteString("\r\n")
	}
	return out.Bytes()
}

// seen holds the observations of a client and of PHP, by item: "head", "body",
// "var REQUEST_URI".
type seen map[string]string

// dial opens a connection to a port.
func dial(port int) (net.Conn, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(harness.MaxWait))
	}
	return conn, err
}

// send sends a request to a port and reads until the web server closes the connection.
func send(port int, q *request) seen {
	conn, err := dial(port)
	if err != nil {
		return seen{"ended": "not connected: " + mask(err.Error(), port)}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		conn.Write(q.bytes()) // it fails if the server responds and closes before it has read all
	}()
	raw, err := io.ReadAll(conn)
	conn.Close()
	<-sent
	got := observe(q, raw, port)
	if err != nil {
		got["ended"] = "with an error of the connection"
	}
	return got
}

// framing are fields that the web server chooses. A Content-Length may depend on what it
// happens to read together, unless the script sends one.
var framing = []string{"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Accept-Ranges"}

// observe takes apart the bytes of a response.
func observe(q *request, raw []byte, port int) seen {
	got := seen{}
	for bytes.HasPrefix(raw, []byte("HTTP/1.1 1")) {
		head, rest, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		got["interim"] += string(head) + "\n"
		raw = rest
	}
	head, _, ok := strings.Cut(string(raw), "\r\n\r\n")
	if !ok {
		got["ended"] = "without a response"
		got["head"] = string(raw)
		return got
	}
	var kept []string
	for i, line := range strings.Split(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		switch {
		case i > 0 && slices.Contains(framing, name):
			if strings.Contains(q.php, "Content-Length") || name == "Connection" {
				got["framing "+name] = strings.TrimSpace(value)
			}
		case i > 0 && (name == "Date" || name == "Etag" || name == "Last-Modified"):
			kept = append(kept, name+": masked")
		default:
			kept = append(kept, mask(line, port))
		}
	}
	got["head"] = strings.Join(kept, "\n")
	got.readBody(q, raw, port)
	return got
}

// readBody adds the body, and how it ended.
func (s seen) readBody(q *request, raw []byte, port int) {
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: q.method})
	if err != nil {
		s["ended"] = "not HTTP: " + err.Error()
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	s["ended"] = "whole"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		s["ended"] = "cut"
	} else if err != nil {
		s["ended"] = err.Error()
	}
	if res.Header.Get("X-Seen") == "" || !s.vars(body, port) {
		s["body"] = mask(string(body), port)
	}
}

// vars adds what see.php has printed. It reports false if the body is something else.
func (s seen) vars(body []byte, port int) bool {
	var groups map[string]map[string]any
	if json.Unmarshal(body, &groups) != nil {
		return false
	}
	for group, values := range groups {
		for name, value := range values {
			text, ok := value.(string)
			if !ok {
				encoded, err := json.Marshal(value)
				if err != nil {
					return false
				}
				text = string(encoded)
			}
			s[group+" "+name] = mask(text, port)
		}
	}
	return true
}

// mask replaces what differs between the ports of a web server. 0 is no port.
func mask(text string, port int) string {
	if port == 0 {
		return text
	}
	return strings.ReplaceAll(text, fmt.Sprint(port), "PORT")
}
