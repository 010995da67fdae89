package fastcgi

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestResponseHead_Parse(t *testing.T) {
	type fields = map[string][]string
	for _, tt := range []struct {
		name, text string
		code       int
		status     string
		fields     fields
		length     int64
		dropped    int
	}{
		{"no header at all", "", 200, "200 OK", fields{}, -1, 0},
		{
			"PHP's own", "X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n", 200, "200 OK",
			fields{"X-Powered-By": {"PHP/8.2"}, "Content-Type": {"text/html; charset=UTF-8"}},
			-1, 0,
		},
		{"bare newlines", "A: b\nC: d\n", 200, "200 OK", fields{"A": {"b"}, "C": {"d"}}, -1, 0},
		{"status", "Status: 404 Not Found\r\nA: b\r\n", 404, "404 Not Found", fields{"A": {"b"}}, -1, 0},
		{"status of any case", "sTATUS: 418 I am a teapot\r\n", 418, "418 I am a teapot", fields{}, -1, 0},
		{"status without text", "Status: 403\r\n", 403, "403 Forbidden", fields{}, -1, 0},
		{"unassigned status", "Status: 999\r\n", 999, "999 ", fields{}, -1, 0},
		{"two statuses", "Status: 404 A\r\nStatus: 500 B\r\n", 404, "404 A", fields{}, -1, 0},
		{"rfc2616_headers", "HTTP/1.0 404 Not Found\r\nA: b\r\n", 404, "404 Not Found", fields{"A": {"b"}}, -1, 0},
		{"control characters in the status", "HTTP/1.0 404 Not\x00 Found\r\n", 404, "404 Not Found", fields{}, -1, 0},
		{"rfc2616_headers alone", "HTTP/1.1 200 OK\n", 200, "200 OK", fields{}, -1, 0},
		{"location", "Location: /x\r\n", 302, "302 Found", fields{"Location": {"/x"}}, -1, 0},
		{"location with a status", "Status: 201 Created\r\nLocation: /x\r\n", 201, "201 Created", fields{"Location": {"/x"}}, -1, 0},
		{
			"repeated field", "Set-Cookie: a=1\r\nA: b\r\nset-cookie: b=2\r\nSet-Cookie: c=3\r\n", 200, "200 OK",
			fields{"Set-Cookie": {"a=1", "b=2", "c=3"}, "A": {"b"}},
			-1, 0,
		},
		{"white space around the value", "A: \t b c \t\r\n", 200, "200 OK", fields{"A": {"b c"}}, -1, 0},
		{"empty value", "A:\r\n", 200, "200 OK", fields{"A": {""}}, -1, 0},
		{"not ASCII", "A: é\xff\r\n", 200, "200 OK", fields{"A": {"é\xff"}}, -1, 0},
		{
			"invalid lines", "no colon\r\nA b: c\r\n: d\r\nE\x00: f\r\nG: h\ri\r\nJ: k\x00\r\nL : m\r\n folded: n\r\nÖ: p\r\nOK: yes\r\n",
			200, "200 OK",
			fields{"Ok": {"yes"}},
			-1, 9,
		},
		{"length", "Content-Length: 12\r\n", 200, "200 OK", fields{"Content-Length": {"12"}}, 12, 0},
		{"the same length twice", "Content-Length: 12\r\nContent-length: 12\r\n", 200, "200 OK", fields{"Content-Length": {"12"}}, 12, 0},
		{"two lengths", "Content-Length: 12\r\nContent-Length: 13\r\n", 200, "200 OK", fields{}, -1, 2},
		{"negative length", "Content-Length: -1\r\n", 200, "200 OK", fields{}, -1, 1},
		{"length with a sign", "Content-Length: +1\r\n", 200, "200 OK", fields{}, -1, 1},
		{"length is a list", "Content-Length: 1, 1\r\n", 200, "200 OK", fields{}, -1, 1},
		{"empty length", "Content-Length: \r\n", 200, "200 OK", fields{}, -1, 1},
		{"length beyond 63 bits", "Content-Length: 9223372036854775808\r\n", 200, "200 OK", fields{}, -1, 1},
		{"length of nothing", "Status: 204 No Content\r\nContent-Length: 0\r\n", 204, "204 No Content", fields{}, -1, 0},
	} {
		h, err := parseHead(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if h.code != tt.code || h.status != tt.status {
			t.Errorf("%s: got status %d, %q, want %d, %q", tt.name, h.code, h.status, tt.code, tt.status)
		}
		if !maps.EqualFunc(h.fields, tt.fields, slices.Equal) {
			t.Errorf("%s: got fields %q, want %q", tt.name, h.fields, tt.fields)
		}
		if h.length != tt.length || h.invalid != tt.dropped {
			t.Errorf("%s: got length %d, %d invalid lines, want %d, %d", tt.name, h.length, h.invalid, tt.length, tt.dropped)
		}
	}
}

func TestResponseHead_InterimStatus(t *testing.T) {
	for status, want := range map[string]int{
		"100": 100, "102 Processing": 102, "103": 103, "103 Early Hints": 103, "199 X": 199, "200 OK": 0, "404": 0,
	} {
		for _, text := range []string{"Status: " + status + "\r\nLink: a\r\n", "HTTP/1.1 " + status + "\r\nLink: a\r\n"} {
			h, err := parseHead(text)
			if err != nil || h.interim != want || h.fields.Get("Link") != "a" {
				t.Errorf("%q: got interim status %d, fields %v, error %v, want %d", text, h.interim, h.fields, err, want)
			}
			if want != 0 && (h.code != 200 || h.status != "200 OK") {
				t.Errorf("%q: got final status %d, %q", text, h.code, h.status)
			}
		}
	}
}

func TestResponseHead_InvalidStatus(t *testing.T) {
	for _, status := range []string{
		"0", "99", "99 X", "099", "101", "101 Switching Protocols", "1000", "2000 OK", "abc", "", "-200",
		"+200", "20", "200OK", "0x1F4", " ",
	} {
		for _, text := range []string{"Status: " + status + "\r\n", "HTTP/1.1 " + status + "\r\n"} {
			h, err := parseHead(text)
			e, ok := errors.AsType[*ProtocolError](err)
			if !ok {
				t.Errorf("%q: got status %d, error %v, want a ProtocolError", text, h.code, err)
				continue
			}
			if !strings.Contains(e.Error(), `"`+strings.TrimSpace(status)+`"`) {
				t.Errorf("%q: got error %q, want one with the value", text, e)
			}
		}
	}
}

func TestResponseHead_Scan(t *testing.T) {
	for _, tt := range []struct {
		text string
		line int // where the empty line begins; -1 if not found
		size int
	}{
		{"", -1, 0},
		{"\r\n", 0, 2},
		{"\n", 0, 1},
		{"\r", -1, 0},
		{"A: b\r\n", -1, 0},
		{"A: b\r\n\r\nbody\n\n", 6, 8},
		{"A: b\n\nbody", 5, 6},
		{"A: b\n\r\nbody", 5, 7},
		{"A: b\r\n\nbody", 6, 7},
		{"A: b\r\n\r\r\n", -1, 0},
		{"A: b\r\n\rC: d\n\n", 12, 13},
	} {
		for step := 1; step <= len(tt.text)+1; step++ {
			var scan headScan
			line, size := -1, 0
			for n := 0; size == 0 && n < len(tt.text)+step; n += step {
				if found, ok := scan.find([]byte(tt.text[:min(n, len(tt.text))])); ok {
					line, size = scan.lineStart, found
				}
			}
			if line != tt.line || size != tt.size {
				t.Errorf("%q in steps of %d: got empty line at %d, size %d, want %d, %d",
					tt.text, step, line, size, tt.line, tt.size)
			}
		}
	}
}

// FuzzResponseHead parses arbitrary headers and checks that net/http could send
// the result.
func FuzzResponseHead(f *testing.F) {
	f.Add("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\n")
	f.Add("HTTP/1.0 200 OK\nA: b\n\n")
	f.Add("Location: /\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello")
	f.Add("Status: 103\n\n")
	f.Add("A\x00: b\rc\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		var scan headScan
		size, ok := scan.find([]byte(text))
		if !ok {
			return
		}
		if size < scan.lineStart || size > len(text) {
			t.Fatalf("got size %d, empty line at %d, in a text of %d bytes", size, scan.lineStart, len(text))
		}
		h, err := parseHead(text[:scan.lineStart])
		if err != nil {
			if _, ok := errors.AsType[*ProtocolError](err); !ok {
				t.Fatalf("got error %T, want *ProtocolError", err)
			}
			return
		}
		if h.code < 200 || h.code > 999 || !strings.HasPrefix(h.status, h.status[:3]+" ") && len(h.status) != 3 {
			t.Errorf("got status %d, %q", h.code, h.status)
		}
		n := h.invalid
		for name, values := range h.fields {
			n += len(values)
			if name != http.CanonicalHeaderKey(name) || !validName(name) {
				t.Errorf("got name %q", name)
			}
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") || v != strings.Trim(v, " \t") {
					t.Errorf("%s: got value %q", name, v)
				}
			}
		}
		if lines := strings.Count(text[:scan.lineStart], "\n"); n > lines {
			t.Errorf("got %d fields from %d lines", n, lines)
		}
		if (h.length >= 0) != (h.fields.Get("Content-Length") != "") {
			t.Errorf("got length %d, Content-Length %q", h.length, h.fields["Content-Length"])
		}
	})
}
