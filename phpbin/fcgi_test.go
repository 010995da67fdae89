package phpbin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// A minimal FastCGI client, so that these tests depend on no other package.

const (
	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
	getValues    = 9
)

func record(kind byte, id uint16, content []byte) []byte {
	head := []byte{1, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), 0, 0}
	return append(head, content...)
}

func pair(name, value string) []byte {
	return append([]byte{byte(len(name)), byte(len(value))}, name+value...)
}

// readRecord returns the type and the content of the next record.
func readRecord(r io.Reader) (kind byte, content []byte, err error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	content = make([]byte, n+int(head[6]))
	_, err = io.ReadFull(r, content)
	return head[1], content[:n], err
}

// keepsAfterValues reports whether php-cgi leaves a connection open that begins
// with FCGI_GET_VALUES. Releases before 8.2.13 close it (php bug 76922).
var keepsAfterValues = sync.OnceValue(func() bool {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	path, err := phpbin.Find("")
	if err != nil {
		panic(err)
	}
	binary, err := phpbin.Detect(ctx, path, phpbin.Options{})
	if err != nil {
		panic(err)
	}
	return binary.KeepsConnAfterGetValues()
})

// handshake sends FCGI_GET_VALUES, or if that closes the connection, a request for a
// script that does not exist, to which php-cgi responds with 404.
func handshake(_ context.Context, conn net.Conn) error {
	if !keepsAfterValues() {
		if err := sendPath(conn, "/no/such/script.php", nil); err != nil {
			return err
		}
		_, _, err := receive(conn)
		return err
	}
	if _, err := conn.Write(record(getValues, 0, pair("FCGI_MPXS_CONNS", ""))); err != nil {
		return err
	}
	_, _, err := readRecord(conn)
	return err
}

// send sends a request for a script of testdata.
func send(t *testing.T, conn net.Conn, script string, query url.Values) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	if err := sendPath(conn, path, query); err != nil {
		t.Fatalf("sending a request: %v", err)
	}
}

func sendPath(conn net.Conn, path string, query url.Values) error {
	var all bytes.Buffer
	all.Write(record(beginRequest, 1, []byte{0, 1, 1, 0, 0, 0, 0, 0}))
	var list []byte
	for name, value := range map[string]string{
		"SCRIPT_FILENAME": path, "REQUEST_METHOD": "GET", "QUERY_STRING": query.Encode(),
	} {
		list = append(list, pair(name, value)...)
	}
	all.Write(record(params, 1, list))
	all.Write(record(params, 1, nil))
	all.Write(record(stdin, 1, nil))
	_, err := conn.Write(all.Bytes())
	return err
}

// receive reads the response to a request.
func receive(conn net.Conn) (head, body string, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer conn.SetReadDeadline(time.Time{})
	var text strings.Builder
	for {
		kind, content, err := readRecord(conn)
		if err != nil {
			return "", text.String(), err
		}
		switch kind {
		case stdout:
			text.Write(content)
		case endRequest:
			head, body, ok := strings.Cut(text.String(), "\r\n\r\n")
			if !ok {
				return "", "", fmt.Errorf("no header in %q", text.String())
			}
			return head, body, nil
		}
	}
}

// run runs a script and returns its output.
func run(t *testing.T, p *phpbin.Process, script string, query url.Values) string {
	t.Helper()
	send(t, p.Conn(), script, query)
	_, body, err := receive(p.Conn())
	if err != nil {
		t.Fatalf("running %s: %v", script, err)
	}
	return body
}
