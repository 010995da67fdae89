//go:build unix

package fpm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

func init() { caddy.RegisterModule(SlowlogEncoder{}) }

// slowRequest is the message of the log entry that php-fpm has in its slowlog.
const slowRequest = "slow request"

// SlowlogEncoder writes the slow requests of a pool in the form of php-fpm's slowlog, and
// nothing else.
type SlowlogEncoder struct {
	// The name of the pool.
	Pool string `json:"pool,omitempty"`

	*zapcore.MapObjectEncoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (SlowlogEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.php_fpm_slowlog", New: func() caddy.Module {
		return &SlowlogEncoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	}}
}

// UnmarshalCaddyfile parses `format php_fpm_slowlog <pool>`.
func (e *SlowlogEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if !d.AllArgs(&e.Pool) {
		return d.ArgErr()
	}
	return nil
}

// Clone implements [zapcore.Encoder].
func (e *SlowlogEncoder) Clone() zapcore.Encoder {
	return &SlowlogEncoder{Pool: e.Pool, MapObjectEncoder: cloneFields(e.MapObjectEncoder)}
}

// EncodeEntry implements [zapcore.Encoder]: fpm_php_trace_dump in
// sapi/fpm/fpm/fpm_php_trace.c.
func (e *SlowlogEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	text := lines.Get()
	all := cloneFields(e.MapObjectEncoder)
	for _, f := range fields {
		f.AddTo(all)
	}
	if entry.Message != slowRequest || all.Fields["pool"] != e.Pool {
		return text, nil
	}
	fmt.Fprintf(text, "\n%s  [pool %s] pid %v\nscript_filename = %v\n", entry.Time.Format(stamp), e.Pool, all.Fields["pid"], all.Fields["script"])
	frames, _ := all.Fields["backtrace"].([]any)
	position := ""
	var out []string
	for i, frame := range slices.Backward(frames) { // a function of PHP is at the place of its call
		function, at, ok := strings.Cut(fmt.Sprint(frame), " ")
		if ok {
			position = at
		}
		out = append(out, fmt.Sprintf("[0x%016x] %s() %s\n", i, function, position))
	}
	for _, line := range slices.Backward(out) {
		text.AppendString(line)
	}
	return text, nil
}

// Interface guards
var (
	_ zapcore.Encoder       = (*SlowlogEncoder)(nil)
	_ caddyfile.Unmarshaler = (*SlowlogEncoder)(nil)
)
