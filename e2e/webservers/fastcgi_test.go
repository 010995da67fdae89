//go:build linux

package webservers

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

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

// The roles and the flag of a BEGIN_REQUEST.
const (
	responder  = 1
	authorizer = 2
	filter     = 3

	keepConn = 1
)

// client is a FastCGI connection without a web server.
type client struct {
	net.Conn
	in *bufio.Reader
}

// connect opens a connection to an address, which is a path or host:port.
func connect(t *testing.T, address string) *client {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		network = "unix"
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return clientOf(t, conn)
}

func clientOf(t *testing.T, conn net.Conn) *client {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(harness.MaxWait)); err != nil {
		t.Fatal(err)
	}
	return &client{conn, bufio.NewReader(conn)}
}

// record returns a record of request id 1, or of 0 for a management type.
func record(kind byte, content string) string {
	id := byte(1)
	if kind >= getValues {
		id = 0
	}
	return string([]byte{1, kind, 0, id, byte(len(content) >> 8), byte(len(content)), 0, 0}) + content
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

// pairs encodes name-value pairs (section 3.4).
func pairs(list ...[2]string) string {
	var out []byte
	for _, pair := range list {
		for _, s := range pair {
			if len(s) < 128 {
				out = append(out, byte(len(s)))
			} else {
				out = binary.BigEndian.AppendUint32(out, 1<<31|uint32(len(s)))
			}
		}
		out = append(append(out, pair[0]...), pair[1]...)
	}
	return string(out)
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
		var head [8]byte
		if _, r.err = io.ReadFull(c.in, head[:]); r.err != nil {
			return r
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, r.err = io.ReadFull(c.in, content); r.err != nil {
			return r
		}
		content = content[:binary.BigEndian.Uint16(head[4:])]
		switch head[1] {
		case stdoutRecord:
			r.stdout += string(content)
		case stderrRecord:
			r.stderr += string(content)
		case endRequest:
			r.end = fmt.Sprintf("application %d, protocol %d", binary.BigEndian.Uint32(content), content[4])
		default:
			r.other += fmt.Sprintf("record %d of request %d: %q\n", head[1], head[3], content)
		}
		if head[1] == last {
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
	_, err := c.in.ReadByte()
	return err == io.EOF
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
