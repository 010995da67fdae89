package fastcgi

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// maxHead is the largest response header, in bytes. PHP itself has no limit.
const maxHead = 1 << 20

// headScan finds the end of a CGI header in a growing buffer.
type headScan struct {
	lineStart int // offset of the current line
	scanned   int // the current line has no newline before this offset
}

// find returns the size of the header, including the empty line at its end.
// lineStart is then the offset of that empty line.
func (s *headScan) find(p []byte) (size int, ok bool) {
	for {
		i := bytes.IndexByte(p[s.scanned:], '\n')
		if i < 0 {
			s.scanned = len(p)
			return 0, false
		}
		end := s.scanned + i
		if end == s.lineStart || (end == s.lineStart+1 && p[s.lineStart] == '\r') {
			return end + 1, true
		}
		s.scanned, s.lineStart = end+1, end+1
	}
}

// head is a parsed response header.
type head struct {
	code    int
	status  string // "200 OK"
	interim int    // the script has set this 1xx status; code is 200 then
	fields  http.Header
	length  int64 // Content-Length; -1 if it is missing or invalid
	invalid int   // lines dropped because they are not valid header fields
}

// parseHead parses a CGI response header (RFC 3875, section 6), or one with an
// HTTP status line, which PHP sends if cgi.rfc2616_headers is on. text is empty or
// ends with a newline. Only a status that cannot be sent to an HTTP client is an
// error; other invalid lines are dropped. PHP sends one header only, so that of an
// interim status is also the one of the response that follows.
func parseHead(text string) (head, error) {
	h := head{length: -1}
	if rest, ok := strings.CutPrefix(text, "HTTP/1."); ok {
		line, after, _ := strings.Cut(rest, "\n")
		_, status, _ := strings.Cut(line, " ") // the minor version does not matter
		if err := h.setStatus(trimValue(status)); err != nil {
			return h, err
		}
		text = after
	}
	lines := strings.Count(text, "\n")
	h.fields = make(http.Header, lines)
	values := make([]string, lines) // one allocation for all values, as in net/textproto
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		name, value, ok := strings.Cut(line, ":")
		value = trimValue(value)
		if !ok || !validName(name) || !validValue(value) {
			h.invalid++
			continue
		}
		if len(name) == len("Status") && strings.EqualFold(name, "Status") {
			if h.code == 0 {
				if err := h.setStatus(value); err != nil {
					return h, err
				}
			}
			continue
		}
		name = canonicalKey(name)
		if earlier, ok := h.fields[name]; ok {
			h.fields[name] = append(earlier, value)
			continue
		}
		values[0] = value
		h.fields[name], values = values[:1:1], values[1:]
	}
	h.setDefaultStatus()
	h.setLength()
	return h, nil
}

// canonicalKey is http.CanonicalHeaderKey without the allocation for the name
// that PHP sends with every response.
func canonicalKey(name string) string {
	if name == "Content-type" {
		return "Content-Type"
	}
	return http.CanonicalHeaderKey(name)
}

// setStatus parses a status like "404 Not Found".
func (h *head) setStatus(s string) error {
	digits, text, _ := strings.Cut(s, " ")
	code, err := strconv.Atoi(digits)
	// A script cannot switch protocols, and net/http panics if a status does not have
	// three digits.
	if err != nil || len(digits) != 3 || code < 100 || code > 999 || code == http.StatusSwitchingProtocols {
		return protocolErrorf("response has invalid status %q", truncate(s))
	}
	if code < 200 {
		h.interim, h.code, h.status = code, http.StatusOK, "200 OK"
		return nil
	}
	h.code, h.status = code, s
	if trimValue(text) == "" || !validValue(text) {
		h.status = digits + " " + http.StatusText(code)
	}
	return nil
}

// setDefaultStatus sets the status if the script has not. php-cgi sets the 302
// for a Location itself, but RFC 3875, section 6.2.3, leaves it to the server.
func (h *head) setDefaultStatus() {
	switch {
	case h.code != 0:
	case len(h.fields["Location"]) > 0:
		h.code, h.status = http.StatusFound, "302 Found"
	default:
		h.code, h.status = http.StatusOK, "200 OK"
	}
}

// setLength parses the Content-Length. It drops the header if it could break the
// framing of the client's connection (RFC 9110, section 8.6; RFC 9112, section
// 6.3).
func (h *head) setLength() {
	values, ok := h.fields["Content-Length"]
	if !ok {
		return
	}
	n, ok := parseLength(values[0])
	for _, v := range values[1:] {
		ok = ok && v == values[0]
	}
	if !ok || h.code == http.StatusNoContent {
		delete(h.fields, "Content-Length")
		if !ok {
			h.invalid += len(values)
		}
		return
	}
	h.fields["Content-Length"] = values[:1]
	h.length = n
}

// removeLength removes the Content-Length.
func (h *head) removeLength() {
	delete(h.fields, "Content-Length")
	h.length = -1
}

// isChunked reports whether the script says that it has chunked its output. Another
// transfer coding is left alone: php_fastcgi does the same.
func (h *head) isChunked() bool {
	values := h.fields["Transfer-Encoding"]
	for _, v := range values {
		if !strings.EqualFold(v, "chunked") {
			return false
		}
	}
	return len(values) > 0
}

// parseLength parses a decimal number. Unlike strconv it accepts no sign.
func parseLength(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// trimValue removes the white space around a field value and a trailing \r.
func trimValue(s string) string {
	s = strings.TrimSuffix(s, "\r")
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// nameSymbols are the characters that a header name may contain besides
// letters and digits (RFC 9110, section 5.6.2).
const nameSymbols = "!#$%&'*+-.^_`|~"

// validName reports whether s is a header name.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(nameSymbols, c) < 0:
			return false
		}
	}
	return s != ""
}

// validValue reports whether s has no control characters except tabs (RFC 9110,
// section 5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}
