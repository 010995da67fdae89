package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

func TestErrors_TextAndClassification(t *testing.T) {
	for _, tt := range []struct {
		err     error
		text    string
		notSent bool
		started bool
		timeout bool
	}{
		{&TransportError{Err: io.ErrUnexpectedEOF}, "fastcgi: unexpected EOF", true, false, false},
		{&TransportError{Sent: 1, Err: ErrReadTimeout}, "fastcgi: no response within the read timeout", false, false, true},
		{&TransportError{Sent: 1, ResponseStarted: true, Err: ErrClosed}, "fastcgi: connection closed", false, true, false},
		{&TransportError{Err: ErrWriteTimeout}, "fastcgi: request not read within the write timeout", true, false, true},
		{protocolErrorf("response has invalid status %q", "99"), `fastcgi: response has invalid status "99"`, false, true, false},
		{&BodyError{io.ErrUnexpectedEOF}, "fastcgi: reading the request body: unexpected EOF", false, false, false},
		{&ParamError{Name: "A", Size: 70000}, `fastcgi: parameter "A" is too large (70000 bytes encoded, at most 65535)`, false, false, false},
		{&ParamError{Name: "A\x00", NUL: true}, `fastcgi: parameter "A\x00" contains a NUL byte`, false, false, false},
		{io.EOF, "EOF", false, false, false},
	} {
		err := fmt.Errorf("wrapped: %w", tt.err)
		if got := tt.err.Error(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got := errors.Is(err, ErrNotSent); got != tt.notSent {
			t.Errorf("%v: got not sent %v, want %v", err, got, tt.notSent)
		}
		if got := ResponseStarted(err); got != tt.started {
			t.Errorf("%v: got response started %v, want %v", err, got, tt.started)
		}
		if got := errors.Is(err, os.ErrDeadlineExceeded); got != tt.timeout {
			t.Errorf("%v: got timeout %v, want %v", err, got, tt.timeout)
		}
	}
}
