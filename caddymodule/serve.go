package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// serveDirect copies PHP's response to the client, without reverse_proxy.
func (h *Handler) serveDirect(w http.ResponseWriter, r *http.Request, state *requestState) error {
	resp, err := h.roundTrip(r, state, w)
	if err != nil {
		return err
	}
	defer resp.close()
	copyHeaders(w.Header(), resp.HTTP.Header)
	resp.announceLength(w)
	w.WriteHeader(resp.HTTP.StatusCode)
	switch err := resp.copyTo(w); {
	case err == nil && !resp.TimedOut():
		if resp.backend.inWorker && resp.body.Running() && w.Header().Get("Content-Length") != "" {
			// While the response is sent, the script becomes ready for the next request:
			// then close need not wait for it in a goroutine. Nothing is left to send after
			// that, because the length is known.
			if err := flush(http.NewResponseController(w)); err != nil {
				resp.fail(err)
			}
		}
		return nil
	case errors.Is(err, errClientClosed) || r.Context().Err() != nil:
		resp.fail(errClientClosed)
		return nil
	default:
		if err == nil {
			err = pool.ErrRequestTimeout
		}
		resp.fail(err)
		if _, ok := errors.AsType[*fastcgi.BodyError](err); !ok { // else the client's body is truncated
			h.logger.Error("response from PHP truncated", zap.String("pool", h.pool.Name),
				zap.String("uri", requestURI(r)), zap.Error(err))
		}
		// The header is already sent: aborting the connection is the only way to
		// signal a truncated response.
		http.NewResponseController(w).Flush() // an error makes no difference now
		panic(http.ErrAbortHandler)
	}
}

// copyTo copies the body as PHP sends it: each part is written when it arrives,
// and flushed if the next one has not arrived yet. It returns errClientClosed if
// writing fails.
func (resp *response) copyTo(w http.ResponseWriter) error {
	if len(resp.prefix) > 0 {
		if _, err := w.Write(resp.prefix); err != nil { //nolint:gosec // PHP has made it, not the client
			return errClientClosed
		}
	}
	flusher, body := http.NewResponseController(w), resp.source()
	if !resp.hasNoBody() && !body.Ready() {
		// PHP has sent only the header so far.
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
		if _, err := w.Write(p); err != nil { //nolint:gosec // as above
			return errClientClosed
		}
		if body.Ready() {
			continue
		}
		if err := flush(flusher); err != nil {
			return err
		}
	}
}

// hasNoBody reports whether the header is the whole response. With it HTTP/2 ends the
// stream, and then the request is canceled, though the script may still run.
func (resp *response) hasNoBody() bool {
	status := resp.HTTP.StatusCode
	return resp.httpRequest.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

func flush(c *http.ResponseController) error {
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errClientClosed
	}
	return nil
}

// copyHeaders adds the headers in src to dst, as reverse_proxy does: hop-by-hop ones
// and those that Connection lists (RFC 9110 section 7.6.1) are removed from src, and
// PHP's Server replaces Caddy's.
func copyHeaders(dst, src http.Header) {
	for _, list := range src["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			src.Del(textproto.TrimString(name))
		}
	}
	if len(src["Server"]) > 0 {
		delete(dst, "Server")
	}
	for name, values := range src {
		if cgi.IsHopByHop(name) {
			continue
		}
		if existing := dst[name]; len(existing) > 0 {
			values = append(existing, values...)
		}
		dst[name] = slices.Clip(values) // appending to it later must not change src
	}
}
