package listener

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/status"
)

// servePage responds with the status or the ping page if the request is for one. As in
// php-fpm SCRIPT_NAME decides, before there is any look for a script.
func (x *request) servePage() bool {
	name := x.params.get(scriptName)
	if name == "" || name != x.l.Status && name != x.l.Ping {
		return false
	}
	w := pageWriter{header: http.Header{}, status: http.StatusOK}
	if name == x.l.Status {
		query, _ := url.ParseQuery(x.params.get(queryString)) // what is valid of it
		status.ServeFPM(x.l.pool, &w, query, false)           //nolint:errcheck // pageWriter returns no error
	} else if err := status.ServePing(&w, x.l.PingResponse, x.l.pool); err != nil {
		x.fail(http.StatusServiceUnavailable, err)
		return true
	}
	if x.params.get(requestMethod) == http.MethodHead {
		w.body.Reset()
	}
	x.in.WriteStdout([]byte(w.head() + w.body.String())) //nolint:errcheck // End returns it
	x.status = w.status
	x.logAccess(nil)
	x.in.End() //nolint:errcheck // then the connection is closed
	return true
}

// pageWriter is an http.ResponseWriter for a short page.
type pageWriter struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *pageWriter) Header() http.Header { return w.header }

func (w *pageWriter) WriteHeader(status int) { w.status = status }

func (w *pageWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

// head returns the header as that of a CGI response.
func (w *pageWriter) head() string {
	var head strings.Builder
	if w.status != http.StatusOK {
		head.WriteString(statusLine(w.status))
	}
	w.header.Write(&head) //nolint:errcheck // strings.Builder returns no error
	return head.String() + "\r\n"
}

// statusLine returns the header field that sets the status of a CGI response.
func statusLine(code int) string {
	return "Status: " + strconv.Itoa(code) + " " + http.StatusText(code) + "\r\n"
}

// respond answers without PHP, in the form of php-fpm's own pages.
func (x *request) respond(code int, text string) {
	var head strings.Builder
	if code != http.StatusOK {
		head.WriteString(statusLine(code))
	}
	if code == http.StatusServiceUnavailable {
		head.WriteString("Retry-After: 5\r\n")
	}
	if x.refusal != "" {
		head.WriteString("Proxy-Status: " + x.refusal + "\r\n")
	}
	head.WriteString("Content-type: text/html; charset=UTF-8\r\n\r\n")
	if x.params.get(requestMethod) == http.MethodHead {
		text = ""
	}
	x.in.WriteStdout([]byte(head.String() + text)) //nolint:errcheck // End returns it again
	x.status = code
	x.logAccess(nil)
	x.in.End() //nolint:errcheck // then the connection is closed
}
