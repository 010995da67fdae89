//go:build unix

package fpm

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestFPMEncoder(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 46, 47, 0, time.UTC)
	tests := []struct {
		level  zapcore.Level
		fields []zap.Field
		want   string
	}{
		{zap.InfoLevel, nil, "[28-Nov-2026 09:46:47] NOTICE: text\n"},
		{zap.DebugLevel, nil, "[28-Nov-2026 09:46:47] DEBUG: text\n"},
		{zap.WarnLevel, []zap.Field{zap.String("pool", "www")}, "[28-Nov-2026 09:46:47] WARNING: [pool www] text\n"},
		{zap.ErrorLevel, []zap.Field{zap.Int("pid", 7), zap.String("a", "b\nc"), zap.Duration("d", 1500*time.Millisecond)}, "[28-Nov-2026 09:46:47] ERROR: text {\"a\":\"b\\nc\",\"d\":1.5,\"pid\":7}\n"},
		{zap.PanicLevel, nil, "[28-Nov-2026 09:46:47] ALERT: text\n"},
	}
	for _, tt := range tests {
		e := &Encoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
		line, err := e.Clone().EncodeEntry(zapcore.Entry{Level: tt.level, Time: at, Message: "text"}, tt.fields)
		if err != nil || line.String() != tt.want {
			t.Errorf("got %q, %v, want %q", line, err, tt.want)
		}
		if len(e.Fields) > 0 {
			t.Errorf("the fields of one entry stay: %v", e.Fields)
		}
	}
}
