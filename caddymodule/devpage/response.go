package devpage

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Response is the http.ResponseWriter for one request of a developer, and the io.Writer
// for what PHP logs meanwhile. Call End when the request has been handled.
type Response struct {
	*caddyhttp.ResponseWriterWrapper
	options *Options
	request *http.Request
	watcher *watcher
	// document is true if a browser wants to show the response as a page.
	document bool
	begin    time.Time
	version  int // of the files, when PHP began

	status    int    // of the final header; 0 until WriteHeader
	held      bool   // the header waits, because a page of ours may replace the response
	body      []byte // what the application has sent while the header is held
	hasScript bool   // the body ends with our script

	mu  sync.Mutex // PHP may log while another goroutine reads the response
	log []byte
}

// maxLog is how much, in bytes, is shown of what PHP logs for a request.
const maxLog = 256 << 10

// Begin returns the response for a request to a site with this root. generation returns a
// number that changes when scripts start again.
func (o *Options) Begin(w http.ResponseWriter, r *http.Request, root string, generation func() int) *Response {
	resp := &Response{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		options:               o, request: r, watcher: o.watch(root, generation), document: isDocument(r), begin: time.Now(),
	}
	if resp.document {
		resp.version = resp.watcher.touch()
		resp.watcher.record(func(l *loads) { l.begin(resp.begin) })
	}
	return resp
}

// isDocument reports whether a browser wants to show the response as a page.
func isDocument(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return false
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		return dest == "document"
	}
	return acceptsHTML(r)
}

func acceptsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("X-Requested-With") == ""
}

// LogWriter returns the writer for what PHP logs.
func (resp *Response) LogWriter() io.Writer { return logWriter{resp} }

type logWriter struct{ *Response }

// Write implements io.Writer. It never returns an error.
func (l logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, p[:min(len(p), maxLog-len(l.log))]...)
	return len(p), nil
}

// messages returns what PHP has logged so far.
func (resp *Response) messages() []message {
	resp.mu.Lock()
	defer resp.mu.Unlock()
	return parseMessages(string(resp.log))
}

// WriteHeader implements http.ResponseWriter.
func (resp *Response) WriteHeader(status int) {
	if status < 200 {
		resp.ResponseWriterWrapper.WriteHeader(status)
		return
	}
	if resp.status != 0 {
		return
	}
	resp.status = status
	if status >= 500 && resp.request.Method != http.MethodHead && isHTML(resp.Header(), true) {
		resp.held = true
		return
	}
	resp.writeHeader()
}

// isHTML reports whether a response is HTML that can be read, or has no type if that is
// allowed.
func isHTML(h http.Header, orNone bool) bool {
	if h.Get("Content-Encoding") != "" {
		return false
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "text/html" || kind == "application/xhtml+xml" || kind == "" && orNone
}

func (resp *Response) writeHeader() {
	h := resp.Header()
	complete := resp.status != http.StatusNoContent && resp.status != http.StatusNotModified && resp.status != http.StatusPartialContent
	if complete && isHTML(h, false) && resp.document {
		resp.hasScript = true
		resp.changesBody()
	}
	resp.ResponseWriterWrapper.WriteHeader(resp.status)
}

// changesBody removes what describes the body as the application has made it. A page from
// the browser's cache would have an old version.
func (resp *Response) changesBody() {
	h := resp.Header()
	for _, name := range []string{"Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-Md5", "Digest", "Content-Digest"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
}

// Write implements http.ResponseWriter.
func (resp *Response) Write(p []byte) (int, error) {
	if resp.status == 0 {
		resp.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if resp.held && len(resp.body)+len(p) <= maxHeld {
		resp.body = append(resp.body, p...)
		return len(p), nil
	}
	if err := resp.unhold(); err != nil {
		return 0, err
	}
	return resp.ResponseWriterWrapper.Write(p)
}

// maxHeld is the size, in bytes, of an error page of an application that is held.
const maxHeld = 1 << 20

// unhold writes what was held.
func (resp *Response) unhold() error {
	if !resp.held {
		return nil
	}
	resp.held = false
	resp.writeHeader()
	_, err := resp.ResponseWriterWrapper.Write(resp.body)
	resp.body = nil
	return err
}

// ReadFrom implements io.ReaderFrom.
func (resp *Response) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{resp}, r)
}

// FlushError is for [http.ResponseController]. A header that is held stays.
func (resp *Response) FlushError() error {
	if resp.held {
		return nil
	}
	if resp.status == 0 {
		resp.WriteHeader(http.StatusOK)
		return resp.FlushError()
	}
	return http.NewResponseController(resp.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (resp *Response) Flush() { _ = resp.FlushError() }

// End completes the response, and must be called when the handler has returned err. The
// developer gets a page about an error without a text, an error of PHP that the application
// has not caught, and an error for which Caddy would send a blank page. Other errors are
// returned.
func (resp *Response) End(err error) error {
	if resp.document {
		defer resp.watcher.record(func(l *loads) { l.end(resp.begin, time.Now()) })
	}
	list := resp.messages()
	switch status, reason := explain(err); {
	case resp.request.Context().Err() != nil:
		return err
	case err == nil && resp.held && (len(resp.body) == 0 || slices.ContainsFunc(list, message.isFatal)):
		return resp.writeError("", list)
	case err == nil:
		if resp.unhold() == nil && resp.hasScript { // else the client disconnected
			_, _ = io.WriteString(resp.ResponseWriter, resp.script(list))
		}
		return nil
	case err != nil && status >= 500 && (resp.status == 0 || resp.held):
		resp.status = status
		return resp.writeError(reason, list)
	}
	return err
}

// explain returns the status for the client that an error of a handler has, and its text.
func explain(err error) (status int, reason string) {
	if err == nil {
		return http.StatusOK, ""
	}
	if handled, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		if handled.Err != nil {
			reason = handled.Err.Error()
		}
		return handled.StatusCode, reason
	}
	return http.StatusInternalServerError, err.Error()
}

// nonce is in a Content-Security-Policy that allows only scripts that have it.
var nonce = regexp.MustCompile(`'nonce-([A-Za-z0-9+/_=-]+)'`)

// script returns the element that ends a page, and shows these messages. The HTML standard lets it run after the
// end of the document (13.2.6.4.22), so nothing in the page has to be searched for.
func (resp *Response) script(list []message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n<script src=%q defer", scriptPath)
	if m := nonce.FindStringSubmatch(strings.Join(resp.Header()["Content-Security-Policy"], ",")); m != nil {
		fmt.Fprintf(&b, " nonce=%q", m[1])
	}
	if resp.request.Method == http.MethodGet {
		fmt.Fprintf(&b, " data-version=%q", resp.options.start+"-"+strconv.Itoa(resp.version))
	}
	if len(list) > 0 {
		const most = 50
		text, _ := json.Marshal(list[:min(len(list), most)]) // of strings and numbers
		fmt.Fprintf(&b, ` data-messages="%s"`, html.EscapeString(string(text)))
	}
	b.WriteString("></script>\n")
	return b.String()
}
