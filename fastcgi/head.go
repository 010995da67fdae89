package fastcgi

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// maxHead is the largest head of a response. PHP itself has no limit.
const maxHead = 1 << 20

// headScan finds the end of a CGI head in content that grows.
type headScan struct {
	lineStart int // where the line begins that has not ended yet
	scanned   int // up to where there was no line end
}

// find returns the size of the head with the empty line that ends it. line is
// then where that empty line begins.
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

// isHead is the parsed head of a response.
type head struct {
	code     int
	status   string // "200 OK"
	fields   http.Header
	valueBuf []string // room for a value that is added
	length   int64    // Content-Length; -1 if there is none or it makes no sense
	invalid  int      // lines that were not header fields
}

// parseHead parses a CGI response head (RFC 3875, section 6), or the HTTP-like
// one of cgi.rfc2616_headers. text ends with a line end, or is empty. Only a
// status that no HTTP client could be given is an error; whatever else is
// wrong is left out.
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
	values := make([]string, lines+1) // one allocation for all, as net/textproto does
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
	h.valueBuf = values[:1:1]
	h.setDefaultStatus()
	h.setLength()
	return h, nil
}

// canonicalKey is http.CanonicalHeaderKey, which has to make up what PHP sends with
// each answer.
func canonicalKey(name string) string {
	if name == "Content-type" {
		return "Content-Type"
	}
	return http.CanonicalHeaderKey(name)
}

// setStatus takes "404 Not Found" apart.
func (h *head) setStatus(s string) error {
	digits, text, _ := strings.Cut(s, " ")
	code, err := strconv.Atoi(digits)
	// An interim status cannot be the final one, and net/http panics at what has
	// not three digits.
	if err != nil || len(digits) != 3 || code < 200 || code > 999 {
		return protocolErrorf("response has the status %q", truncate(s))
	}
	h.code, h.status = code, s
	if trimValue(text) == "" || !validValue(text) {
		h.status = digits + " " + http.StatusText(code)
	}
	return nil
}

// setDefaultStatus supplies the status that the script has not set. php-cgi
// does the 302 itself, but RFC 3875, section 6.2.3, leaves it to the server.
func (h *head) setDefaultStatus() {
	switch {
	case h.code != 0:
	case len(h.fields["Location"]) > 0:
		h.code, h.status = http.StatusFound, "302 Found"
	default:
		h.code, h.status = http.StatusOK, "200 OK"
	}
}

// setLength takes the Content-Length, and drops it if the client's connection
// could be broken by it (RFC 9110, section 8.6; RFC 9112, section 6.3).
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

// parseLength accepts digits only, where strconv would take a sign too.
func parseLength(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// trimValue takes off what may surround a field value, and the \r of the line end.
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

// tokenPunctuation are the characters of a header name (RFC 9110, section 5.6.2) beside
// letters and digits.
const tokenPunctuation = "!#$%&'*+-.^_`|~"

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(tokenPunctuation, c) < 0:
			return false
		}
	}
	return s != ""
}

// validValue refuses control characters except the tab (RFC 9110, section 5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}
