package caddymodule

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
)

// stderrLog collects what PHP writes to the FastCGI stream STDERR for one request
// (PHP's error_log, unless php.ini sets another destination) and logs it together
// with the request.
type stderrLog struct {
	backend *Backend
	request *http.Request
	script  string
	text    []byte
	copyTo  io.Writer // nil unless a developer sees it
	// notOpened is true if PHP has reported that it could not open the script.
	notOpened bool
}

// maxStderr is the number of bytes after which the messages of a request are
// logged in parts, so that a script in a loop cannot exhaust memory.
const maxStderr = 1 << 20

// Write implements io.Writer. It never returns an error.
func (l *stderrLog) Write(p []byte) (int, error) {
	if l.copyTo != nil {
		_, _ = l.copyTo.Write(p) // it keeps it in memory
	}
	l.notOpened = l.notOpened || cgi.ReportsNotOpened(p, l.script)
	if capture := l.backend.CaptureStderr; capture != nil && !*capture {
		return len(p), nil
	}
	l.text = append(l.text, p...)
	if len(l.text) >= maxStderr {
		l.flush(http.StatusOK)
	}
	return len(p), nil
}

// HandleLog implements [fastcgi.LogHandler]: it logs an entry of frankenphp_log() with
// the keys of its context as fields, as FrankenPHP does.
func (l *stderrLog) HandleLog(level int, message string, context []byte) {
	if l.copyTo != nil {
		_, _ = io.WriteString(l.copyTo, message+"\n") // as in Write
	}
	if capture := l.backend.CaptureStderr; capture != nil && !*capture {
		return
	}
	zapLevel := zapcore.ErrorLevel
	switch {
	case level < int(slog.LevelInfo):
		zapLevel = zapcore.DebugLevel
	case level < int(slog.LevelWarn):
		zapLevel = zapcore.InfoLevel
	case level < int(slog.LevelError):
		zapLevel = zapcore.WarnLevel
	}
	c := l.backend.logger.Check(zapLevel, message)
	if c == nil {
		return
	}
	var values map[string]json.RawMessage
	_ = json.Unmarshal(context, &values) // context may be empty
	fields := make([]zap.Field, 0, len(values)+3)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fields = append(fields, zap.Reflect(name, values[name]))
	}
	for _, ours := range []zap.Field{
		zap.String("pool", l.backend.pool.Name),
		zap.String("script", l.script),
		zap.Object("request", caddyhttp.LoggableHTTPRequest{
			Request: l.request, ShouldLogCredentials: logsCredentials(l.request),
		}),
	} {
		if _, taken := values[ours.Key]; !taken {
			fields = append(fields, ours)
		}
	}
	c.Write(fields...)
}

// flush logs what was collected, as an error if the response has a 4xx or 5xx
// status, otherwise as a warning.
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

// logsCredentials reports whether the server has the option log_credentials.
func logsCredentials(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Logs != nil && server.Logs.ShouldLogCredentials
}
