//go:build unix

package fpm

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestFPMSlowlog(t *testing.T) {
	entry := zapcore.Entry{Level: zap.WarnLevel, Time: time.Date(2026, 11, 28, 9, 46, 47, 0, time.UTC), Message: slowRequest}
	fields := func(pool string) []zap.Field {
		return []zap.Field{
			zap.String("pool", pool), zap.String("method", "GET"), zap.String("uri", "/a.php"), zap.String("script", "/srv/a.php"),
			zap.Float64("duration", 2.5), zap.Int("pid", 7), zap.Strings("backtrace", []string{"usleep", "wait /srv/b.php:3", "{main} /srv/a.php:4"}),
		}
	}
	e := &SlowlogEncoder{Pool: "www", MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	const want = "\n[28-Nov-2026 09:46:47]  [pool www] pid 7\nscript_filename = /srv/a.php\n" +
		"[0x0000000000000000] usleep() /srv/b.php:3\n[0x0000000000000001] wait() /srv/b.php:3\n[0x0000000000000002] {main}() /srv/a.php:4\n"
	if got, err := e.Clone().EncodeEntry(entry, fields("www")); err != nil || got.String() != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := e.EncodeEntry(entry, fields("other")); err != nil || got.Len() > 0 {
		t.Errorf("another pool: got %q, %v", got, err)
	}
	entry.Message = "text"
	if got, err := e.EncodeEntry(entry, fields("www")); err != nil || got.Len() > 0 {
		t.Errorf("another message: got %q, %v", got, err)
	}
	entry.Message = slowRequest
	const line = "[28-Nov-2026 09:46:47] WARNING: [pool www] child 7, script '/srv/a.php' (request: \"GET /a.php\") executing too slow (2.500000 sec), logging\n"
	all := &Encoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	if got, err := all.EncodeEntry(entry, fields("www")); err != nil || got.String() != line {
		t.Errorf("got %q, %v, want %q", got, err, line)
	}
}
