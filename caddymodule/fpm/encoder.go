//go:build unix

package fpm

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

func init() { caddy.RegisterModule(Encoder{}) }

// Encoder writes log entries in the form of php-fpm's error_log: the time, the level, the
// pool, the message, and other fields as JSON.
type Encoder struct {
	*zapcore.MapObjectEncoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.php_fpm", New: func() caddy.Module {
		return &Encoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	}}
}

// UnmarshalCaddyfile parses the encoder, which has no options.
func (*Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // its name
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Clone implements [zapcore.Encoder].
func (e *Encoder) Clone() zapcore.Encoder {
	return &Encoder{MapObjectEncoder: cloneFields(e.MapObjectEncoder)}
}

func cloneFields(e *zapcore.MapObjectEncoder) *zapcore.MapObjectEncoder {
	copied := zapcore.NewMapObjectEncoder()
	maps.Copy(copied.Fields, e.Fields)
	return copied
}

var lines = buffer.NewPool()

// levelName returns what php-fpm calls a level.
func levelName(level zapcore.Level) string {
	switch {
	case level < zapcore.InfoLevel:
		return "DEBUG"
	case level < zapcore.WarnLevel:
		return levelNotice
	case level < zapcore.ErrorLevel:
		return levelWarn
	case level == zapcore.ErrorLevel:
		return levelError
	}
	return "ALERT"
}

// EncodeEntry implements [zapcore.Encoder].
func (e *Encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	all := e.Clone().(*Encoder)
	for _, f := range fields {
		f.AddTo(all)
	}
	line := lines.Get()
	line.AppendString(entry.Time.Format(stamp))
	line.AppendString(" " + levelName(entry.Level) + ": ")
	if pool, ok := all.Fields["pool"].(string); ok {
		line.AppendString("[pool " + pool + "] ")
		delete(all.Fields, "pool")
	}
	if entry.Message == slowRequest { // fpm_request_check_timed_out
		fmt.Fprintf(line, "child %v, script '%v' (request: \"%v %v\") executing too slow (%f sec), logging\n",
			all.Fields["pid"], all.Fields["script"], all.Fields["method"], all.Fields["uri"], all.Fields["duration"])
		return line, nil
	}
	line.AppendString(entry.Message)
	for name, value := range all.Fields {
		if d, ok := value.(time.Duration); ok {
			all.Fields[name] = d.Seconds()
		}
	}
	if len(all.Fields) > 0 {
		text, err := json.Marshal(all.Fields)
		if err != nil {
			return nil, err
		}
		line.AppendByte(' ')
		line.AppendBytes(text)
	}
	line.AppendByte('\n')
	return line, nil
}

// Interface guards
var (
	_ zapcore.Encoder       = (*Encoder)(nil)
	_ caddyfile.Unmarshaler = (*Encoder)(nil)
)
