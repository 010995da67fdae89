package devpage

import (
	"crypto/rand"
	_ "embed" // errorpage.html
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
)

//go:embed errorpage.html
var errorPageText string

var errorPage = template.Must(template.New("errorpage.html").Parse(errorPageText))

// failure holds the content of the error page.
type failure struct {
	Status   int
	Title    string // of the status
	Method   string
	URI      string
	Reason   string // why php_pool has no response; empty if PHP has sent it
	Hint     string // what to do about it
	Cause    *message
	Source   []sourceLine
	Messages []message // the others
	Nonce    string
	Script   template.HTML // ends the page
}

// hints explain the statuses that php_pool itself responds with.
var hints = map[int]string{
	http.StatusBadGateway:         "The process that ran the script has ended or has sent no valid response. The log of Caddy has more, and so has: caddy php-pool status",
	http.StatusServiceUnavailable: "No worker could run the script. See why with: caddy php-pool status",
	http.StatusGatewayTimeout:     "The script took too long. See what scripts do with: caddy php-pool backtrace",
}

const silentHint = "The script has ended with this status and has printed nothing, and PHP has logged nothing for the request. " +
	"If the application logs errors itself, look there. PHP logs to Caddy with `log_errors` on and without `error_log`: " +
	"write `ini log_errors 1` and `ini error_log \"\"` in the block of php_pool."

// writeError responds with a page about a failure, with what PHP has logged. reason is
// php_pool's; it is empty if PHP has sent the status.
func (resp *Response) writeError(reason string, list []message) error {
	f := failure{
		Status: resp.status, Title: http.StatusText(resp.status), Method: resp.request.Method,
		URI: cgi.OriginalURL(resp.request).RequestURI(), Reason: reason,
	}
	if i := cause(list); i >= 0 {
		f.Cause = &list[i]
		f.Messages = append(append(f.Messages, list[:i]...), list[i+1:]...)
		f.Source = readSource(resp.watcher.dir, f.Cause.File, f.Cause.Line)
	} else if f.Hint = silentHint; reason != "" {
		f.Hint = hints[resp.status]
	}
	if reason != "" {
		resp.options.logger.Error("dev shows an error", zap.Int("status", resp.status), zap.String("uri", f.URI), zap.String("error", reason))
	}
	h := resp.Header()
	resp.changesBody()
	if !acceptsHTML(resp.request) && strings.Contains(resp.request.Header.Get("Accept"), "json") {
		return resp.writeJSON(&f, list)
	}
	if resp.request.Header.Get("Sec-Fetch-Dest") == "" && !acceptsHTML(resp.request) {
		return resp.writeText(&f, list)
	}
	f.Nonce = rand.Text()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'nonce-"+f.Nonce+"'; style-src 'nonce-"+f.Nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	if resp.document {
		f.Script = template.HTML(resp.script(nil)) //nolint:gosec // it is escaped
	}
	resp.ResponseWriterWrapper.WriteHeader(resp.status)
	if err := errorPage.Execute(resp.ResponseWriter, &f); err != nil {
		return nil //nolint:nilerr // the client disconnected
	}
	return nil
}

// writeJSON responds to a script in the browser, or to a program.
func (resp *Response) writeJSON(f *failure, list []message) error {
	resp.Header().Set("Content-Type", "application/json")
	resp.ResponseWriterWrapper.WriteHeader(resp.status)
	body := struct {
		Error    string   `json:"error"`
		Messages []string `json:"messages"`
	}{f.summary(), texts(list)}
	_ = json.NewEncoder(resp.ResponseWriter).Encode(body) // fails if the client disconnected
	return nil
}

// writeText responds to a program such as curl.
func (resp *Response) writeText(f *failure, list []message) error {
	resp.Header().Set("Content-Type", "text/plain; charset=utf-8")
	resp.ResponseWriterWrapper.WriteHeader(resp.status)
	fmt.Fprintf(resp.ResponseWriter, "%s\n\n", f.summary())
	for _, text := range texts(list) {
		fmt.Fprintln(resp.ResponseWriter, text)
	}
	if f.Hint != "" {
		fmt.Fprintln(resp.ResponseWriter, f.Hint)
	}
	return nil
}

func (f *failure) summary() string {
	text := fmt.Sprintf("%d %s", f.Status, f.Title)
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

func texts(list []message) []string {
	all := make([]string, len(list))
	for i, m := range list {
		all[i] = m.Text
		if m.Level != "" {
			all[i] = m.Level + ": " + m.Text
		}
	}
	return all
}
