package fastcgi

import (
	"bytes"
	"net/http"
)

// acceptRaw fills in the response of a request with Raw. The header is the first size
// bytes of the content, where it stays.
func (b *Body) acceptRaw(size int) error {
	s := &b.stream
	b.response.StatusCode = rawStatus(s.content()[:size])
	b.response.Body, b.response.ContentLength = b, -1
	s.headDone = true
	if g := s.signals; g != nil {
		if n := s.dropped(s.buffered() - size); n > 0 {
			// Content that is not PHP's follows the header: move that behind it.
			copy(s.buf[s.start+n:], s.buf[s.start:s.start+size])
			s.start += n
		}
		if g.finishAtHead {
			s.end = s.start + size
			s.finishContent()
		}
		b.handleSignals()
	}
	return nil
}

// Peek returns the content that has been received, without consuming it. It is valid
// until the next call of a method.
func (b *Body) Peek() []byte { return b.stream.content() }

// rawStatus returns the status of a CGI header: that of its first line, where PHP
// writes it, else 200.
func rawStatus(head []byte) int {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	status, ok := bytes.CutPrefix(line, []byte("Status: "))
	if !ok && bytes.HasPrefix(line, []byte("HTTP/1.")) {
		_, status, ok = bytes.Cut(line, []byte(" "))
	}
	if !ok || len(status) < 3 {
		return http.StatusOK
	}
	code := 0
	for _, c := range status[:3] {
		if c < '0' || c > '9' {
			return http.StatusOK
		}
		code = 10*code + int(c-'0')
	}
	return code
}
