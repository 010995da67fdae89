package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// Between the look at the files and the moment when PHP opens the script, the script
// can be removed or replaced; the queue is in between. PHP then reports that it has
// run nothing, so the request is routed again, whatever its method, by the files that
// exist now.

// maxRoutes limits how often a request is routed, for files that change all the time.
const maxRoutes = 5

var errNotRun = errors.New("the script was removed or replaced while the request waited for PHP")

// notRunError returns an error if PHP could not open the script: one with status 403
// if a permission is missing, or errNotRun, with state prepared for routing again, if
// files have changed since the request was routed. It returns nil for all other
// responses, and keeps what it has read of the body in resp.prefix.
func (b *Backend) notRunError(resp *response, state *requestState) error {
	if b.inWorker {
		return nil // the script runs already
	}
	said, mayHave := resp.saysNotRun()
	if !said && !mayHave {
		return nil
	}
	script, since := resp.stderr.script, state.routedAt(resp.httpRequest)
	if said || resp.HTTP.StatusCode != http.StatusInternalServerError {
		if err := b.permissionError(script); err != nil {
			return err
		}
	}
	if said && !cgi.Changed(script, since) || !said && !cgi.Replaced(script, since) {
		return nil // a response of the script itself
	}
	resp.stderr.text = nil // it is about a script that should not have run
	if state.stream != nil {
		return caddyhttp.Error(http.StatusNotFound, errNotRun) // PHP has taken the body
	}
	state.routeAgain()
	state.body, resp.requestBody = resp.requestBody, spool.Body{}
	return caddyhttp.Error(http.StatusNotFound, errNotRun)
}

// saysNotRun reports whether the response is one that PHP gives if it cannot open the
// script. may is true instead if it is one that PHP gives then, but that scripts give
// too, and the method is safe, so the script may run twice.
func (resp *response) saysNotRun() (says, may bool) {
	if resp.stderr.notOpened {
		return true, false
	}
	method := resp.httpRequest.Method
	switch resp.HTTP.StatusCode {
	case http.StatusForbidden, http.StatusNotFound:
		if !resp.body.Fill(fastcgi.MaxFill) {
			return false, false
		}
		if method == http.MethodHead {
			return false, true
		}
		n := resp.HTTP.ContentLength
		if n != int64(len(phpbin.AccessDenied)) && n != int64(len(phpbin.NoInputFile)) {
			return false, false
		}
		var err error
		resp.prefix, err = io.ReadAll(resp.body)
		text := string(resp.prefix)
		return err == nil && (text == phpbin.AccessDenied || text == phpbin.NoInputFile), false
	case http.StatusInternalServerError:
		// From OPcache, if PHP's messages go elsewhere.
		return false, cgi.SafeMethod(method) && resp.body.Fill(fastcgi.MaxFill) &&
			(method == http.MethodHead || resp.HTTP.ContentLength == 0)
	}
	return false, false
}

// routeAgain makes the handler route the request again.
func (s *requestState) routeAgain() {
	s.notRun = true
	s.Forget()
}

// routedAt returns a time before the request was routed: when it arrived, or when it
// was routed again.
func (s *requestState) routedAt(r *http.Request) time.Time {
	if !s.reroutedAt.IsZero() {
		return s.reroutedAt
	}
	arrived, _ := caddyhttp.GetVar(r.Context(), "start_time").(time.Time)
	return arrived
}

// repeat calls serve again while nothing has run, because files have changed. err is
// the error of the first call.
func (s *requestState) repeat(r *http.Request, err error, serve func() error) error {
	for routes := 1; err != nil && s.notRun && routes < maxRoutes; routes++ {
		s.notRun, s.reroutedAt = false, time.Now()
		body := s.body
		s.body = spool.Body{}
		if body.ReadSeeker != nil {
			if _, seekErr := body.Seek(0, io.SeekStart); seekErr != nil {
				body.Free()
				return caddyhttp.Error(http.StatusInternalServerError, seekErr)
			}
			r.Body, s.bodyRead = io.NopCloser(body), false
		}
		err = serve()
		if body.ReadSeeker != nil {
			r.Body = http.NoBody // an error route must not read what is freed
			body.Free()
		}
	}
	s.notRun = false
	s.body.Free()
	return err
}
