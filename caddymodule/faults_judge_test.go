package caddymodule

import (
	"bytes"
	"net/http"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// corrupted is a corrupted response as a simple decoder reads it. Records of an
// earlier request, as from a script that forked, are skipped.
type corrupted struct {
	whole    bool   // it starts with complete records up to END_REQUEST
	rejected bool   // END_REQUEST says that the request was rejected
	size     int    // of these records, in bytes
	stdout   []byte // content of the STDOUT records
	retried  bool   // the request was sent again to another worker
}

// decode reads the response with a request id.
func decode(wire []byte, id uint16) (c corrupted) {
	for c.size+8 <= len(wire) {
		h := wire[c.size:]
		content, padding, recordID := int(h[4])<<8|int(h[5]), int(h[6]), uint16(h[2])<<8|uint16(h[3])
		end := h[1] == fastcgitest.TypeEndRequest
		if h[0] != 1 || recordID == 0 || recordID > id || end && content != 8 ||
			!end && h[1] != fastcgitest.TypeStdout && h[1] != fastcgitest.TypeStderr {
			return c
		}
		contentEnd := min(len(h), 8+content)
		if recordID == id && h[1] == fastcgitest.TypeStdout {
			c.stdout = append(c.stdout, h[8:contentEnd]...)
		}
		if len(h) < 8+content+padding {
			return c
		}
		c.size += 8 + content + padding
		if recordID == id && end {
			c.whole, c.rejected = true, h[12] != 0
			return c
		}
	}
	return c
}

// judge returns what is wrong with the result that a client got for a corrupted
// response, or "". want is the STDOUT of the response without faults.
func judge(res result, c *corrupted, want []byte, method string) string {
	head, body := splitHead(want)
	sameHead := bytes.HasPrefix(c.stdout, head)
	good := c.whole && !c.rejected
	switch {
	case res.status == 0:
		return "no status"
	case res.aborted && good && bytes.Equal(c.stdout, want):
		return "an undamaged response was aborted"
	case res.aborted && !bytes.Contains(c.stdout, res.body):
		return "the client got bytes that were not sent"
	case res.aborted:
		return ""
	case res.status == http.StatusBadGateway || res.status == http.StatusGatewayTimeout:
		if good && sameHead {
			return "a valid response became an error"
		}
		return ""
	case !good:
		// If the timeout expired before anything was read, or nothing was sent,
		// another worker has responded.
		if method != http.MethodGet || !c.retried || !bytes.Equal(res.body, body) {
			return "an incomplete response was passed on as complete"
		}
		return ""
	case !bytes.Contains(c.stdout, res.body):
		return "the client got bytes that were not sent"
	case bytes.Equal(c.stdout, want) && !bytes.Equal(res.body, body),
		sameHead && !bytes.HasPrefix(c.stdout[len(head):], res.body):
		return "the client got a body other than the one sent"
	}
	return ""
}

// splitHead splits CGI output after the empty line that ends its header.
func splitHead(stdout []byte) (head, body []byte) {
	for _, empty := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(stdout, []byte(empty)); i >= 0 {
			return stdout[:i+len(empty)], stdout[i+len(empty):]
		}
	}
	return nil, stdout
}
