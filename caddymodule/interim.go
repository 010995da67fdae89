package caddymodule

import (
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
)

// The values of Backend.EarlyHints.
const (
	earlyHintsHTTP2 = "h2"
	earlyHintsAll   = "all"
	earlyHintsOff   = "off"
)

// HandleInterim implements fastcgi.InterimHandler for the interim responses of
// headers_send: it sends their Link fields, which Early Hints are about (RFC 8297).
func (resp *response) HandleInterim(status int, header http.Header) {
	r, links := resp.httpRequest, header["Link"]
	switch resp.backend.EarlyHints {
	case earlyHintsOff:
		return
	case earlyHintsAll:
	default:
		// Some HTTP/1.1 clients take an interim response for the final one (RFC 8297,
		// section 3).
		if r.ProtoMajor < 2 {
			return
		}
	}
	if len(links) > 0 {
		sendInterim(resp.interimWriter, r, status, http.Header{"Link": links})
	}
}

// sendInterim sends an interim response (1xx except 101) to the client at once, for
// instance 103 Early Hints. It must run before the final response, in the goroutine
// that handles r. w is nil if reverse_proxy sends r: it forwards interim responses
// that its transport reports, as net/http's transport does.
func sendInterim(w http.ResponseWriter, r *http.Request, status int, fields http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return // HTTP/1.0 has none (RFC 9110 section 15.2)
	}
	fields = fields.Clone()
	delete(fields, "Content-Length") // it is that of the final response
	if w == nil {
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.Got1xxResponse != nil {
			_ = trace.Got1xxResponse(status, textproto.MIMEHeader(fields)) // never fails
		}
		return
	}
	h := w.Header()
	own := maps.Clone(h)
	copyHeaders(h, fields)
	w.WriteHeader(status)
	// The final response does not have them unless it sets them again.
	clear(h)
	maps.Copy(h, own)
}
