package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
)

func TestBodyError_Status(t *testing.T) {
	read := func(err error) error { return fmt.Errorf("reading the request body: %w", err) }
	for err, want := range map[error]int{
		&spool.TooLargeError{Option: "max_body", Limit: 5}:             413,
		read(&http.MaxBytesError{Limit: 5}):                            413,
		read(caddyhttp.Error(411, errors.New("an earlier handler's"))): 411,
		&spool.FileError{Err: errors.New("write"), DiskFull: true}:     507,
		&spool.FileError{Err: errors.New("open")}:                      500,
		read(context.Canceled):                                         499,
		read(os.ErrDeadlineExceeded):                                   408,
		read(errors.New("malformed chunked encoding")):                 400,
	} {
		if got := statusOf(bodyError(err)); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}
