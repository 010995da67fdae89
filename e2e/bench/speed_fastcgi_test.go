//go:build linux && bench

package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// barePHP is a php-cgi that gets requests without a web server. They do not come
// from this project's client either, because the limit that it sets is measured here.
type barePHP struct {
	socket string
	site   string
}

// bareConn is a connection with blocking system calls, which are the fastest.
type bareConn struct {
	fd  int
	buf []byte
}

func (p *barePHP) dial() (*bareConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: p.socket}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &bareConn{fd, make([]byte, 256<<10)}, nil
}

func (c *bareConn) close() { unix.Close(c.fd) }

// The record types and the sizes of FastCGI 1.0 that are needed here.
const (
	recordHead   = 8
	recordMost   = 65528 // a multiple of 8, so that none needs padding
	beginRequest = 1
	endRequest   = 3
	paramsRecord = 4
	stdinRecord  = 5
	stdoutRecord = 6
)

// appendRecords appends a stream in records, and its end.
func appendRecords(to []byte, kind byte, content []byte) []byte {
	for {
		n := min(len(content), recordMost)
		to = append(to, 1, kind, 0, 1, byte(n>>8), byte(n), 0, 0)
		to = append(to, content[:n]...)
		if n == 0 {
			return to
		}
		content = content[n:]
	}
}

// request returns the FastCGI request of a work, with the variables that a web server
// sends for a request of wrk, on a persistent connection.
func (p *barePHP) request(w work) []byte {
	script := w.path
	if strings.HasSuffix(script, "/") {
		script += "index.php"
	}
	method, length := "GET", ""
	if w.body > 0 {
		method, length = "POST", strconv.Itoa(w.body)
	}
	var params []byte
	for _, v := range [][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "none"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"SERVER_NAME", "127.0.0.1"},
		{"SERVER_PORT", "8080"},
		{"SERVER_ADDR", "127.0.0.1"},
		{"REMOTE_ADDR", "127.0.0.1"},
		{"REMOTE_PORT", "40000"},
		{"REMOTE_HOST", "127.0.0.1"},
		{"REQUEST_SCHEME", "http"},
		{"REQUEST_METHOD", method},
		{"REQUEST_URI", w.path},
		{"DOCUMENT_URI", script},
		{"DOCUMENT_ROOT", p.site},
		{"SCRIPT_NAME", script},
		{"SCRIPT_FILENAME", path.Join(p.site, script)},
		{"PATH_INFO", ""},
		{"QUERY_STRING", ""},
		{"CONTENT_TYPE", ""},
		{"CONTENT_LENGTH", length},
		{"HTTP_HOST", "127.0.0.1:8080"},
		{"REDIRECT_STATUS", "200"},
	} {
		for _, s := range v {
			if len(s) < 128 {
				params = append(params, byte(len(s)))
			} else {
				params = binary.BigEndian.AppendUint32(params, 1<<31|uint32(len(s)))
			}
		}
		params = append(append(params, v[0]...), v[1]...)
	}
	// The role is responder, and the connection stays open.
	all := []byte{1, beginRequest, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}
	all = appendRecords(all, paramsRecord, params)
	return appendRecords(all, stdinRecord, []byte(strings.Repeat("x", w.body)))
}

// skipRecords returns where the complete records in buf end that begin at a position, or
// END_REQUEST ends, and whether that is among them.
func skipRecords(buf []byte, at int) (end int, ended bool) {
	for len(buf)-at >= recordHead {
		end := at + recordHead + int(binary.BigEndian.Uint16(buf[at+4:])) + int(buf[at+6])
		if end > len(buf) {
			break
		}
		if buf[at+1] == endRequest {
			return end, true
		}
		at = end
	}
	return at, false
}

// roundTrip sends a request and returns the records of the response. They are
// overwritten by the next call.
func (c *bareConn) roundTrip(request []byte) ([]byte, error) {
	for len(request) > 0 {
		n, err := unix.Write(c.fd, request)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sending to php-cgi: %w", err)
		}
		request = request[n:]
	}
	for have, at := 0, 0; ; {
		var ended bool
		if at, ended = skipRecords(c.buf[:have], at); ended {
			return c.buf[:at], nil
		}
		if have == len(c.buf) {
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
		n, err := unix.Read(c.fd, c.buf[have:])
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("reading php-cgi's response after %d bytes: %w", have, err)
		}
		have += n
	}
}

// parseResponse returns the status and the body in the records of a response.
func parseResponse(records []byte) (status int, body string) {
	var out []byte
	for len(records) >= recordHead {
		n, padding := int(binary.BigEndian.Uint16(records[4:])), int(records[6])
		if records[1] == stdoutRecord {
			out = append(out, records[recordHead:recordHead+n]...)
		}
		records = records[recordHead+n+padding:]
	}
	head, body, _ := strings.Cut(string(out), "\r\n\r\n")
	status = 200
	if line, ok := strings.CutPrefix(head, "Status: "); ok {
		fmt.Sscan(line, &status)
	}
	return status, body
}
