//go:build linux

package parity

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// seen holds the observations of a client and of PHP during one request, by item:
// "status", "header Link", "var REQUEST_URI".
type seen map[string]string

// interim adds an interim response.
func (s seen) interim(code int, header http.Header) {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(header)) {
		switch name {
		case "Alt-Svc", "Server", "Status", "Via": // compared in the final response
			continue
		}
		fields = append(fields, name+": "+strings.Join(header[name], " | "))
	}
	s["interim"] += fmt.Sprintf("%d %s\n", code, strings.Join(fields, ", "))
}

// head adds the status and the header of a response.
func (s seen) head(res *http.Response) {
	s["status"] = res.Proto + " " + res.Status
	for name, values := range res.Header {
		switch name {
		case "Content-Length": // see framing
		case "Alt-Svc": // has the port
			s["header Alt-Svc"] = "set"
		case "Date":
			s["header Date"] = plainDates(values)
		default:
			s["header "+name] = plain(strings.Join(values, " | "))
		}
	}
}

// code is the status code.
func (s seen) code() string {
	_, rest, _ := strings.Cut(s["status"], " ")
	code, _, _ := strings.Cut(rest, " ")
	return code
}

// plainDates replaces dates of now.
func plainDates(values []string) string {
	var list []string
	for _, v := range values {
		if when, err := http.ParseTime(v); err == nil && when.Year() > 2020 {
			v = "NOW"
		}
		list = append(list, v)
	}
	return strings.Join(list, " | ")
}

// read adds the body of a response. What see.php prints is added item by item.
func (s seen) read(r *rig, sd side, q *request, res *http.Response) {
	in := bufio.NewReader(res.Body)
	if q.during != nil && q.leave != leaveBeforeResponse {
		if _, err := in.Peek(1); err != nil {
			s["first bytes"] = errorText(err)
		} else {
			first, _ := in.Peek(in.Buffered())
			s["first bytes"] = string(first)
		}
		q.during(r, sd)
	}
	if q.leave == leaveDuringResponse {
		s["ended"] = "left"
		return
	}
	content, err := io.ReadAll(in)
	s["ended"] = "whole"
	if err != nil {
		// How much has come depends on the moment.
		s["ended"] = "cut"
		return
	}
	for name, values := range res.Trailer {
		s["trailer "+name] = strings.Join(values, " | ")
	}
	if res.Header.Get("X-Seen") != "" {
		delete(s, "framing") // follows from the length of the variables
		if s.addSeenByPHP(content) {
			return
		}
	}
	if res.Header.Get("Content-Encoding") == "gzip" {
		content = decompress(content)
	}
	s["body"] = shorten(plain(string(content)))
}

// decompress returns what a client shows. How it is compressed depends on the writes.
func decompress(content []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return content
	}
	text, err := io.ReadAll(r)
	if err != nil {
		text = append(text, err.Error()...)
	}
	return text
}

// addSeenByPHP adds what see.php prints, and reports whether that is complete.
func (s seen) addSeenByPHP(content []byte) bool {
	var groups map[string]map[string]any
	if json.Unmarshal(content, &groups) != nil {
		return false
	}
	for group, values := range groups {
		for name, value := range values {
			text, ok := value.(string)
			if !ok {
				encoded, _ := json.Marshal(value)
				text = string(encoded)
			}
			s[group+" "+name] = shorten(plain(text))
		}
	}
	// php_fastcgi sends the variables in random order, and getallheaders takes the last
	// of these two.
	for variable, name := range map[string]string{"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"} {
		if field, ok := s["var HTTP_"+variable]; ok && field != s["var "+variable] {
			delete(s, "headers "+name)
		}
	}
	return true
}

// shorten replaces a long text by its length and hash.
func shorten(text string) string {
	if len(text) <= 2000 {
		return text
	}
	return fmt.Sprintf("%s... %d bytes, SHA-256 %x", text[:100], len(text), sha256.Sum256([]byte(text)))
}

var versions = regexp.MustCompile(`PHP/8\.\d+\.\d+|PHP/7\.\d+\.\d+`)

// plain replaces what differs between the sides by design of this test.
func plain(text string) string {
	return ports.ReplaceAllString(versions.ReplaceAllString(text, "PHP/8"), "ADDRESS")
}

// delta is an item that differs.
type delta struct {
	item      string
	want, got string
	lacks     bool // got has no such item
	extra     bool // want has none
}

func (d delta) String() string {
	switch {
	case d.lacks:
		return fmt.Sprintf("%s: is missing, php_fastcgi has %q", d.item, d.want)
	case d.extra:
		return fmt.Sprintf("%s: got %q, php_fastcgi has none", d.item, d.got)
	}
	return fmt.Sprintf("%s: got %q, php_fastcgi has %q", d.item, d.got, d.want)
}

// broken reports whether the client knows that it did not get the response, or not the
// whole of it. How much has come by then depends on the moment.
func (s seen) broken() bool {
	return s["ended"] == "cut" || s["error"] != "" && s["error"] != "timeout"
}

// withoutVariables returns the items that can be compared if only one of two requests
// ran see.php.
func (s seen) withoutVariables() seen {
	short := seen{}
	for _, item := range []string{"status", "interim", "body", "error", "ended", "connection", "header Location", "php script"} {
		if value, ok := s[item]; ok {
			short[item] = value
		}
	}
	return short
}

// compare returns the items that differ, sorted.
func compare(want, got seen) []delta {
	if want.broken() && got.broken() {
		return nil
	}
	if (want["php script"] == "") != (got["php script"] == "") {
		want, got = want.withoutVariables(), got.withoutVariables()
	}
	all := maps.Clone(want)
	maps.Copy(all, got)
	var list []delta
	for _, item := range slices.Sorted(maps.Keys(all)) {
		w, inWant := want[item]
		g, inGot := got[item]
		if inWant != inGot || w != g {
			list = append(list, delta{item, w, g, !inGot, !inWant})
		}
	}
	return list
}
