package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// serveDirect is the short way: it copies PHP's answer to the client.
func (h *Handler) serveDirect(w http.ResponseWriter, r *http.Request, v *requestState) error {
	a, err := h.roundTrip(r, v, false)
	if err != nil {
		return err
	}
	defer a.close()
	copyHeaders(w.Header(), a.HTTP.Header)
	w.WriteHeader(a.HTTP.StatusCode)
	switch err := a.copyTo(w); {
	case err == nil && !a.TimedOut():
		return nil
	case errors.Is(err, errClientGone) || r.Context().Err() != nil:
		a.fail(errClientGone)
		return nil
	default:
		if err == nil {
			err = pool.ErrRequestTimeout
		}
		a.fail(err)
		h.logger.Error("response from PHP truncated", zap.String("pool", h.pool.Name),
			zap.String("uri", requestURI(r)), zap.Error(err))
		// The status is out: only a broken connection can tell the client that
		// this is not all.
		http.NewResponseController(w).Flush() // it is given up
		panic(http.ErrAbortHandler)
	}
}

// copyTo copies the body as PHP writes it: what has arrived is written at once,
// and flushed when PHP has nothing more to say for the moment.
func (a *response) copyTo(w http.ResponseWriter) error {
	if len(a.prefix) > 0 {
		if _, err := w.Write(a.prefix); err != nil {
			return errClientGone
		}
	}
	flusher, body := http.NewResponseController(w), a.source()
	if !body.Ready() {
		// PHP has sent its head and nothing else yet.
		if err := flush(flusher); err != nil {
			return err
		}
	}
	for {
		p, err := body.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return errClientGone
		}
		if body.Ready() {
			continue
		}
		if err := flush(flusher); err != nil {
			return err
		}
	}
}

func flush(c *http.ResponseController) error {
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errClientGone
	}
	return nil
}

// copyHeaders gives the client PHP's headers, but for those that concern one
// connection only.
func copyHeaders(to, from http.Header) {
	for name, values := range from {
		if cgi.IsHopByHop(name) && name != "Alt-Svc" {
			continue
		}
		if earlier := to[name]; len(earlier) > 0 {
			values = append(earlier, values...)
		}
		to[name] = slices.Clip(values) // what is added later goes elsewhere
	}
}
