//go:build linux

package webservers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// The record types of FastCGI 1.0 section 8.
const (
	beginRequest = 1 + iota
	abortRequest
	endRequest
	paramsRecord
	stdinRecord
	stdoutRecord
	stderrRecord
	dataRecord
	getValues
	getValuesResult
	unknownType
)

// The role and the flag of a BEGIN_REQUEST.
const (
	responder = 1
	keepConn  = 1
)

// client is a FastCGI connection without a web server.
type client struct{ *harness.FastCGIConn }

// connect opens a connection to an address, which is a path or host:port.
func connect(t *testing.T, address string) *client {
	t.Helper()
	return &client{harness.DialFastCGI(t, address)}
}

// record returns a record of request 1, or of 0 for a management type.
func record(kind byte, content string) string {
	id := uint16(1)
	if kind >= getValues {
		id = 0
	}
	return string(harness.FastCGIRecord(kind, id, content))
}

// begin returns a BEGIN_REQUEST.
func begin(role, flags byte) string {
	return record(beginRequest, string([]byte{0, role, flags, 0, 0, 0, 0, 0}))
}

// stream returns the records of a stream, and its end.
func stream(kind byte, content string) string {
	var out strings.Builder
	for content != "" {
		n := min(len(content), 32768)
		out.WriteString(record(kind, content[:n]))
		content = content[n:]
	}
	return out.String() + record(kind, "")
}

// pairs encodes name-value pairs.
func pairs(list ...[2]string) string {
	var flat []string
	for _, pair := range list {
		flat = append(flat, pair[:]...)
	}
	return harness.FastCGIPairs(flat...)
}

// result holds all that a backend sends for one request.
type result struct {
	stdout, stderr string
	end            string // the application and protocol status of END_REQUEST
	other          string // other records
	err            error  // of reading
}

// read reads records until one has this type, or until the end of the connection.
func (c *client) read(last byte) (r result) {
	for {
		kind, id, content, err := c.ReadRecord()
		if err != nil {
			r.err = err
			return r
		}
		switch kind {
		case stdoutRecord:
			r.stdout += content
		case stderrRecord:
			r.stderr += content
		case endRequest:
			r.end = fmt.Sprintf("application %d, protocol %d", binary.BigEndian.Uint32([]byte(content)), content[4])
		default:
			r.other += fmt.Sprintf("record %d of request %d: %q\n", kind, id, content)
		}
		if kind == last {
			return r
		}
	}
}

// roundTrip sends bytes and reads until a request has ended. The writes are in another
// goroutine: the server may respond before it has read all.
func (c *client) roundTrip(sent string) result {
	go io.WriteString(c, sent)
	return c.read(endRequest)
}

// closed reports whether the server closes the connection, without another record.
func (c *client) closed() bool {
	_, _, _, err := c.ReadRecord()
	return errors.Is(err, io.EOF)
}

// variables returns the parameters of a request as a web server without
// fastcgi_split_path_info sends them.
func variables(site string, q *request) [][2]string {
	path, query, _ := strings.Cut(q.target, "?")
	decoded := unescape(path)
	vars := [][2]string{
		{"QUERY_STRING", query},
		{"REQUEST_METHOD", q.method},
		{"CONTENT_TYPE", ""},
		{"CONTENT_LENGTH", ""},
		{"SCRIPT_FILENAME", site + decoded},
		{"SCRIPT_NAME", decoded},
		{"REQUEST_URI", q.target},
		{"DOCUMENT_URI", decoded},
		{"DOCUMENT_ROOT", site},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "test"},
		{"REMOTE_ADDR", "192.0.2.7"},
		{"SERVER_NAME", "www.example.test"},
		{"HTTP_HOST", "www.example.test"},
	}
	if q.body != "" && !q.chunked {
		vars[3][1] = fmt.Sprint(len(q.body))
	}
	for _, field := range q.fields {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		if name == "Content-Type" {
			vars[2][1] = value
		}
		vars = append(vars, [2]string{"HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value})
	}
	return vars
}
