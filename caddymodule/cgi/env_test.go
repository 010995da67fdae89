package cgi

import (
	"net/http"
	"testing"
)

// Caddy's server and PHP drop some of these headers too, so an end-to-end test would
// not notice if we did not.
func TestEnv_HeadersNotForwarded(t *testing.T) {
	r, _ := request("/", ".")
	e := &EnvWriter{Request: r}
	for name, want := range map[string]bool{
		"Remote-User": true, "X-Fine-2": true,
		"Remote_User": false, "X_Forwarded_For": false, "X.Y": false, "Rémote": false, // CVE-2026-52845, GHSA-f59h-q822-g45g
		"Proxy": false, // CVE-2016-5385
		"Host":  false, "Content-Length": false, "Connection": false, "Proxy-Authorization": false,
	} {
		if got := e.forwardsHeader(name); got != want {
			t.Errorf("%s: forwarded %t, want %t", name, got, want)
		}
	}
}

func TestEnv_ContentType(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct{ method, sent, want string }{
		{"GET", "", ""}, {"HEAD", "", ""}, {"OPTIONS", "", ""},
		{"POST", "", form}, {"PUT", "", form}, {"PATCH", "", form}, {"DELETE", "", form}, {"PROPFIND", "", form}, {"PURGE", "", form},
		{"GET", "text/plain", "text/plain"}, {"POST", "text/plain", "text/plain"},
	} {
		r := &http.Request{Method: c.method, Header: http.Header{}}
		if c.sent != "" {
			r.Header.Set("Content-Type", c.sent)
		}
		if got := contentType(r); got != c.want {
			t.Errorf("%s with %q: got %q, want %q", c.method, c.sent, got, c.want)
		}
	}
}
