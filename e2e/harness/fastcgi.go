//go:build linux

package harness

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// FastCGIConn is a connection of a web server to a FastCGI application: php-fpm, or the
// listener of php_pool.
type FastCGIConn struct {
	net.Conn
	r *bufio.Reader
}

// FastCGIResponse is the response to one request.
type FastCGIResponse struct {
	Stdout, Stderr string
	Records        int  // of STDOUT, with content
	Ended          bool // by END_REQUEST
	Status         byte // the protocolStatus of that
}

// DialFastCGI connects to the socket at path, or to a TCP address.
func DialFastCGI(tb testing.TB, address string) *FastCGIConn {
	tb.Helper()
	c, err := OpenFastCGI(address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// OpenFastCGI is DialFastCGI for a connection that the caller closes.
func OpenFastCGI(address string) (*FastCGIConn, error) {
	network := "unix"
	if !strings.ContainsAny(address, "/@") {
		network = "tcp"
	}
	c, err := net.DialTimeout(network, address, MaxWait)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(MaxWait))
	return &FastCGIConn{c, bufio.NewReader(c)}, nil
}

// FastCGIRecord encodes a record.
func FastCGIRecord(typ byte, id uint16, content string) []byte {
	p := []byte{1, typ, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), 0, 0}
	return append(p, content...)
}

// FastCGIPairs encodes names and values.
func FastCGIPairs(pairs ...string) string {
	var out []byte
	for i := 0; i < len(pairs); i += 2 {
		for _, text := range pairs[i : i+2] {
			if len(text) < 128 {
				out = append(out, byte(len(text)))
			} else {
				out = binary.BigEndian.AppendUint32(out, uint32(len(text))|1<<31)
			}
		}
		out = append(append(out, pairs[i]...), pairs[i+1]...)
	}
	return string(out)
}

// FastCGIRequest encodes a request: the records that nginx sends. pairs are names and
// values.
func FastCGIRequest(id uint16, keep bool, body string, pairs ...string) []byte {
	flags := "\x00"
	if keep {
		flags = "\x01"
	}
	p := FastCGIRecord(1, id, "\x00\x01"+flags+"\x00\x00\x00\x00\x00")
	params := FastCGIPairs(pairs...)
	for len(params) > 0 {
		n := min(len(params), 65535)
		p = append(p, FastCGIRecord(4, id, params[:n])...)
		params = params[n:]
	}
	p = append(p, FastCGIRecord(4, id, "")...)
	for len(body) > 0 {
		n := min(len(body), 32768)
		p = append(p, FastCGIRecord(5, id, body[:n])...)
		body = body[n:]
	}
	return append(p, FastCGIRecord(5, id, "")...)
}

// Do sends a request and returns its response. The error is that of the connection.
func (c *FastCGIConn) Do(keep bool, body string, pairs ...string) (FastCGIResponse, error) {
	if _, err := c.Write(FastCGIRequest(1, keep, body, pairs...)); err != nil {
		return FastCGIResponse{}, err
	}
	return c.Receive(1)
}

// Receive reads the response to a request.
func (c *FastCGIConn) Receive(id uint16) (FastCGIResponse, error) {
	var res FastCGIResponse
	for {
		typ, got, content, err := c.ReadRecord()
		switch {
		case err != nil:
			return res, err
		case got != id:
			return res, fmt.Errorf("record of type %d for request %d", typ, got)
		case typ == 6:
			res.Stdout += content
			if content != "" {
				res.Records++
			}
		case typ == 7:
			res.Stderr += content
		case typ == 3:
			res.Ended, res.Status = true, content[4]
			return res, nil
		default:
			return res, fmt.Errorf("record of type %d", typ)
		}
	}
}

// ReadRecord reads one record.
func (c *FastCGIConn) ReadRecord() (typ byte, id uint16, content string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, 0, "", err
	}
	p := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
	if _, err := io.ReadFull(c.r, p); err != nil {
		return 0, 0, "", err
	}
	return head[1], binary.BigEndian.Uint16(head[2:]), string(p[:len(p)-int(head[6])]), nil
}
