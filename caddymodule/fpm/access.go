//go:build unix

package fpm

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

func init() { caddy.RegisterModule(AccessEncoder{}) }

// AccessEncoder writes the access log of a pool's FastCGI listeners, whose messages are
// in php-fpm's access.format already, and nothing else.
type AccessEncoder struct {
	// The name of the pool.
	Pool string `json:"pool,omitempty"`

	*zapcore.MapObjectEncoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (AccessEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.php_fpm_access", New: func() caddy.Module {
		return &AccessEncoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	}}
}

// UnmarshalCaddyfile parses `format php_fpm_access <pool>`.
func (e *AccessEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if !d.AllArgs(&e.Pool) {
		return d.ArgErr()
	}
	return nil
}

// Clone implements [zapcore.Encoder].
func (e *AccessEncoder) Clone() zapcore.Encoder {
	return &AccessEncoder{Pool: e.Pool, MapObjectEncoder: cloneFields(e.MapObjectEncoder)}
}

// EncodeEntry implements [zapcore.Encoder].
func (e *AccessEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := lines.Get()
	for i := range fields {
		if fields[i].Key == "pool" && fields[i].String == e.Pool {
			line.AppendString(entry.Message)
			line.AppendByte('\n')
		}
	}
	return line, nil
}

// Interface guards
var (
	_ zapcore.Encoder       = (*AccessEncoder)(nil)
	_ caddyfile.Unmarshaler = (*AccessEncoder)(nil)
)
