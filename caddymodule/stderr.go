package caddymodule

import (
	"bytes"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// stderrLog gathers what one request wrote to FastCGI's stderr (PHP's
// error_log, unless php.ini sends it elsewhere) and logs it with the request.
type stderrLog struct {
	backend *Backend
	request *http.Request
	script  string
	text    []byte
}

// maxStderr is from when on a request's messages are logged in pieces, so that
// a script in a loop cannot fill the memory.
const maxStderr = 1 << 20

// Write implements io.Writer.
func (l *stderrLog) Write(p []byte) (int, error) {
	if off := l.backend.CaptureStderr; off != nil && !*off {
		return len(p), nil
	}
	l.text = append(l.text, p...)
	if len(l.text) >= maxStderr {
		l.flush(http.StatusOK)
	}
	return len(p), nil
}

// flush logs what came; status is that of the response.
func (l *stderrLog) flush(status int) {
	text := bytes.TrimRight(l.text, "\r\n")
	if len(text) == 0 {
		return
	}
	level := zapcore.WarnLevel
	if status >= 400 {
		level = zapcore.ErrorLevel
	}
	if c := l.backend.logger.Check(level, "stderr"); c != nil {
		c.Write(
			zap.ByteString("stderr", text),
			zap.String("pool", l.backend.pool.Name),
			zap.String("script", l.script),
			zap.Object("request", caddyhttp.LoggableHTTPRequest{
				Request: l.request, ShouldLogCredentials: logsCredentials(l.request),
			}),
		)
	}
	l.text = l.text[:0]
}

func logsCredentials(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Logs != nil && server.Logs.ShouldLogCredentials
}
