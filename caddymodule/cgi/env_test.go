package cgi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
		{"GET", "", ""},
		{"HEAD", "", ""},
		{"OPTIONS", "", ""},
		{"POST", "", form},
		{"PUT", "", form},
		{"PATCH", "", form},
		{"DELETE", "", form},
		{"PROPFIND", "", form},
		{"PURGE", "", form},
		{"GET", "text/plain", "text/plain"},
		{"POST", "text/plain", "text/plain"},
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

// REDIRECT_STATUS in an error route is the status that the client gets by default.
func TestEnv_ErrorStatus(t *testing.T) {
	for err, want := range map[error]int{
		caddyhttp.Error(404, errors.New("x")):                          404,
		fmt.Errorf("outer: %w", caddyhttp.Error(503, errors.New("x"))): 503,
		caddyhttp.HandlerError{Err: errors.New("x")}:                   500,
		errors.New("x"): 500,
	} {
		r, _ := request("/", ".")
		if got := RouteError(r); got != nil {
			t.Fatalf("got error %v outside of an error route", got)
		}
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.ErrorCtxKey, err))
		if got := RouteError(r); !errors.Is(got, err) || errorStatus(got) != want {
			t.Errorf("%v: got %v, status %d, want %d", err, got, errorStatus(got), want)
		}
	}
}
