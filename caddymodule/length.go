package caddymodule

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxServerLength is the largest body, in bytes, whose Content-Length net/http sets
// itself if the handler has not set it.
const maxServerLength = 2048

// announceLength sets the Content-Length of a body that is known to its end, where
// PHP has not. Without it net/http sends a body of more than 2 KiB chunked, which
// takes one more write to the connection.
//
// It sets no Content-Length if another handler might replace or change the body:
// such a handler does not expect one, because php_fastcgi sends none, and a wrong one
// breaks the response (caddyserver/caddy#7029).
func (resp *response) announceLength(w http.ResponseWriter) {
	n := resp.HTTP.ContentLength
	if !resp.ended || n <= maxServerLength || resp.HTTP.Header["Content-Length"] != nil || !writesUnchanged(w) {
		return
	}
	resp.length[0] = strconv.FormatInt(n, 10)
	w.Header()["Content-Length"] = resp.length[:]
}

// writesUnchanged reports whether what is written to w reaches the client as it is:
// w is the server's own writer, maybe in wrappers of Caddy that do not change a body
// or, as encode, remove the Content-Length if they do.
func writesUnchanged(w http.ResponseWriter) bool {
	for {
		t := reflect.TypeOf(w)
		if t.Kind() != reflect.Pointer {
			return false
		}
		switch knownWriters[writerType{t.Elem().PkgPath(), t.Elem().Name()}] {
		case serverWriter:
			return true
		case recorder:
			// The access log and the metrics use a recorder without a buffer. With a
			// buffer it belongs to a handler that works on the complete body.
			if w.(caddyhttp.ResponseRecorder).Buffer() != nil {
				return false
			}
		case wrapper:
		default:
			return false
		}
		w = w.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
	}
}

// writerType is the name of a type that w.(type) cannot name.
type writerType struct{ pkg, name string }

type writerKind int

const (
	serverWriter writerKind = iota + 1 // writes to the connection
	recorder                           // a caddyhttp.ResponseRecorder
	wrapper                            // unwraps to the next writer
)

// knownWriters are the response writers that writesUnchanged may trust. If a new
// version of Caddy or Go renames one, responses are chunked and a test fails.
var knownWriters = map[writerType]writerKind{
	{"net/http", "response"}:                               serverWriter,
	{"net/http", "http2responseWriter"}:                    serverWriter,
	{"golang.org/x/net/http2", "responseWriter"}:           serverWriter,
	{"github.com/quic-go/quic-go/http3", "responseWriter"}: serverWriter,

	{caddyhttpPath, "responseRecorder"}:                   recorder,
	{caddyhttpPath, "IdleTimeoutWriter"}:                  wrapper,
	{caddyhttpPath, "ResponseWriterWrapper"}:              wrapper,
	{caddyhttpPath, "readDeadlineWriter"}:                 wrapper,
	{caddyhttpPath + "/headers", "responseWriterWrapper"}: wrapper,
	{caddyhttpPath + "/encode", "responseWriter"}:         wrapper,
}

const caddyhttpPath = "github.com/caddyserver/caddy/v2/modules/caddyhttp"
