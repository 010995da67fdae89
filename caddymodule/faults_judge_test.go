package caddymodule

import (
	"bytes"
	"net/http"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// spoilt is an answer as the plainest reader would see it. Records of an earlier
// request, those of a script that forked, do not count.
type spoilt struct {
	whole   bool // it begins with whole records up to END_REQUEST
	refused bool // which says that the request was refused
	size    int  // of these records
	stdout  []byte
	retried bool // another worker was asked after it
}

func read(wire []byte, id uint16) (s spoilt) {
	for s.size+8 <= len(wire) {
		h := wire[s.size:]
		content, padding, of := int(h[4])<<8|int(h[5]), int(h[6]), uint16(h[2])<<8|uint16(h[3])
		end := h[1] == fastcgitest.TypeEndRequest
		if h[0] != 1 || of == 0 || of > id || end && content != 8 ||
			!end && h[1] != fastcgitest.TypeStdout && h[1] != fastcgitest.TypeStderr {
			return s
		}
		cut := min(len(h), 8+content)
		if of == id && h[1] == fastcgitest.TypeStdout {
			s.stdout = append(s.stdout, h[8:cut]...)
		}
		if len(h) < 8+content+padding {
			return s
		}
		s.size += 8 + content + padding
		if of == id && end {
			s.whole, s.refused = true, h[12] != 0
			return s
		}
	}
	return s
}

// judge says what is wrong with what a client got for a spoilt answer, if
// anything is. want is the STDOUT that should have come.
func judge(g got, s *spoilt, want []byte, method string) string {
	head, body := cutHead(want)
	sameHead := bytes.HasPrefix(s.stdout, head)
	good := s.whole && !s.refused
	switch {
	case g.status == 0:
		return "no status"
	case g.broken && good && bytes.Equal(s.stdout, want):
		return "a whole answer was broken off"
	case g.broken && !bytes.Contains(s.stdout, g.body):
		return "bytes that were not sent"
	case g.broken:
		return ""
	case g.status == http.StatusBadGateway || g.status == http.StatusGatewayTimeout:
		if good && sameHead {
			return "an error for an answer that makes sense"
		}
		return ""
	case !good:
		// Time was up before anything of it was read, or nothing had been sent,
		// and another worker gave the answer.
		if method != http.MethodGet || !s.retried || !bytes.Equal(g.body, body) {
			return "half an answer passes for a whole one"
		}
		return ""
	case !bytes.Contains(s.stdout, g.body):
		return "bytes that were not sent"
	case bytes.Equal(s.stdout, want) && !bytes.Equal(g.body, body),
		sameHead && !bytes.HasPrefix(s.stdout[len(head):], g.body):
		return "another body than was sent"
	}
	return ""
}

// cutHead splits CGI output behind its empty line.
func cutHead(stdout []byte) (head, body []byte) {
	for _, empty := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(stdout, []byte(empty)); i >= 0 {
			return stdout[:i+len(empty)], stdout[i+len(empty):]
		}
	}
	return nil, stdout
}
