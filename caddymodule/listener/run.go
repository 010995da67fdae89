package listener

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// maxSearches limits how often the script of a request is searched, for files that change all
// the time.
const maxSearches = 5

// run sends the request to PHP and its response to the web server. It returns true if
// the script runs on after its response.
func (x *request) run() (runsOn bool) {
	x.in.Watch()
	for searches := 1; ; searches++ {
		resp, err := x.send()
		if err != nil {
			x.pool.FastCGI.Free()
			x.failed(err)
			return false
		}
		x.resp = resp
		body := resp.HTTP.Body.(*fastcgi.Body)
		ended := body.Fill(fastcgi.MaxFill)
		if searches == maxSearches || !ended || !x.notRun(resp, body) {
			return x.respondWith(resp, body, ended)
		}
		// The script was removed or replaced while the request waited for PHP, which has
		// run nothing.
		resp.Close()
		x.pool.FastCGI.Free()
		if !x.searchAgain() {
			return false
		}
	}
}

// send sends the request to PHP. x.pool.FastCGI is to be freed.
func (x *request) send() (*pool.Response, error) {
	req := fastcgi.NewRequest()
	x.setLength()
	x.params.write(req)
	if x.body.Length > 0 {
		req.Body, req.ContentLength = x.body.ReadSeeker, x.body.Length
	}
	req.Raw, req.Stderr, req.SignalMark = true, x, poolcfg.SignalMark
	x.pool = pool.Request{FastCGI: req, Repeatable: cgi.SafeMethod(x.params.get(requestMethod)), Info: x.info()}
	return x.l.pool.Do(x.in.Context(), &x.pool)
}

// respondWith passes the response on, and ends the request.
func (x *request) respondWith(resp *pool.Response, body *fastcgi.Body, ended bool) (runsOn bool) {
	x.stderr.failed = resp.HTTP.StatusCode >= http.StatusBadRequest
	if ended && !body.Running() {
		resp.Release()
	}
	err := x.copyBody(body)
	x.logAccess(resp)
	if err == nil && body.Running() {
		x.runOn(resp)
		return true
	}
	if err != nil || resp.TimedOut() {
		x.truncated(err)
	}
	resp.Close()
	x.pool.FastCGI.Free()
	return false
}

// runOn ends the request of a script that runs on, as after fastcgi_finish_request, and
// waits for the script in another goroutine.
func (x *request) runOn(resp *pool.Response) {
	resp.Finish()
	x.in.End() //nolint:errcheck // the script runs on anyway
	x.in = nil
	go func() {
		resp.Close()
		x.pool.FastCGI.Free()
		x.body.Free()
		x.stderr.flush(x)
		x.l.pool.Release()
	}()
}

// copyBody passes the bytes of the response on.
func (x *request) copyBody(body *fastcgi.Body) error {
	for {
		p, err := body.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.in.WriteStdout(p); err != nil {
			return err
		}
		if body.Ready() {
			continue
		}
		if err := x.in.Flush(); err != nil {
			return err
		}
	}
}

// notRun reports whether PHP could not open the script, because it was removed or
// replaced after it had been found. The response is in memory.
func (x *request) notRun(resp *pool.Response, body *fastcgi.Body) bool {
	switch resp.HTTP.StatusCode {
	case http.StatusNotFound, http.StatusForbidden:
		_, text, _ := bytes.Cut(body.Peek(), []byte("\r\n\r\n"))
		if string(text) != phpbin.NoInputFile && string(text) != phpbin.AccessDenied {
			return false
		}
	case http.StatusInternalServerError:
		if !x.stderr.notOpened {
			return false
		}
	default:
		return false
	}
	return cgi.Changed(x.pool.Info.Script, x.found)
}

// searchAgain searches the script again. It returns false if the request has been
// answered.
func (x *request) searchAgain() bool {
	x.in.Reset()
	x.stderr = stderrLog{text: x.stderr.text[:0]}
	if x.body.ReadSeeker != nil {
		if _, err := x.body.Seek(0, io.SeekStart); err != nil {
			x.bodyFailed(err)
			return false
		}
	}
	x.params.parse(x.in.Params())
	return x.findScript()
}
