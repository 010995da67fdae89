package listener

import (
	"bytes"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
)

// stderrLog collects the messages of a script for PHP's error log. The web server gets it in the
// form of php-fpm: "PHP message: " before each message, "; " between two. php-cgi only
// ends messages with a line feed, so a line that begins with "PHP " counts as the
// next one, and any other as a part of the message before it.
type stderrLog struct {
	started bool   // there was a message
	newline bool   // the last byte was a line feed, which has not been passed on
	text    []byte // for Caddy's log
	failed  bool   // the response has a 4xx or 5xx status

	notOpened bool // PHP has reported that it could not open the script
}

const messagePrefix = "PHP message: "

// maxStderr is the number of bytes after which the messages of a request are logged in
// parts, so that a script in a loop cannot exhaust memory.
const maxStderr = 1 << 20

// Write implements io.Writer. It never returns an error.
func (x *request) Write(p []byte) (int, error) {
	x.stderr.notOpened = x.stderr.notOpened || cgi.ReportsNotOpened(p, x.pool.Info.Script)
	if x.in != nil {
		x.in.WriteStderr(x.stderr.format(p)) //nolint:errcheck // the next write of the response fails too
	}
	if x.l.CaptureStderr {
		if x.stderr.text = append(x.stderr.text, p...); len(x.stderr.text) >= maxStderr {
			x.stderr.flush(x)
		}
	}
	return len(p), nil
}

// format returns a part of the messages in the form of php-fpm.
func (s *stderrLog) format(p []byte) []byte {
	out := make([]byte, 0, len(p)+len(messagePrefix))
	for line := range bytes.Lines(p) {
		switch {
		case !s.started:
			out = append(out, messagePrefix...)
			s.started = true
		case s.newline && bytes.HasPrefix(line, []byte("PHP ")):
			out = append(append(out, "; "...), messagePrefix...)
		case s.newline:
			out = append(out, '\n')
		}
		line, s.newline = bytes.CutSuffix(line, []byte("\n"))
		out = append(out, line...)
	}
	return out
}

// flush logs what was collected, as an error if the response has a 4xx or 5xx status,
// otherwise as a warning.
func (s *stderrLog) flush(x *request) {
	text := bytes.TrimRight(s.text, "\r\n")
	if len(text) == 0 {
		return
	}
	level := zapcore.WarnLevel
	if s.failed {
		level = zapcore.ErrorLevel
	}
	if c := x.l.logger.Check(level, "stderr"); c != nil {
		c.Write(zap.ByteString("stderr", text), zap.String("pool", x.l.pool.Name), zap.String("script", x.pool.Info.Script),
			zap.String("method", x.pool.Info.Method), zap.String("uri", x.pool.Info.URI))
	}
	s.text = s.text[:0]
}
