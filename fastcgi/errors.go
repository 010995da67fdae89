package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

var (
	// ErrNotSent matches a [*TransportError], with errors.Is, if no byte of the
	// request was sent: the request may be sent again over another connection.
	ErrNotSent = errors.New("fastcgi: nothing of the request was sent")

	// ErrClosed is the error of I/O after [Conn.Close].
	ErrClosed = errors.New("fastcgi: connection closed")

	// ErrClosedAfterGetValues is returned by [Conn.Handshake] if the peer
	// closes the connection after it has responded to GET_VALUES, as PHP before
	// 8.2.13 does (bug #76922). Connect again and use [Conn.PingRequest].
	ErrClosedAfterGetValues = errors.New("fastcgi: peer closes the connection after GET_VALUES")

	// ErrReadTimeout means that nothing was received for [Request.ReadTimeout].
	// It matches [os.ErrDeadlineExceeded] and is a net.Error.
	ErrReadTimeout error = &timeoutError{"fastcgi: no response within the read timeout"}

	// ErrWriteTimeout means that the peer read nothing of the request for
	// [Request.WriteTimeout]. It matches [os.ErrDeadlineExceeded] and is a
	// net.Error.
	ErrWriteTimeout error = &timeoutError{"fastcgi: request not read within the write timeout"}

	// ErrBodyTimeout means that a streamed request body did not arrive for
	// [Request.BodyTimeout]. It matches [os.ErrDeadlineExceeded] and is a net.Error.
	ErrBodyTimeout error = &timeoutError{"nothing arrived within the body timeout"}

	errBusy   = errors.New("fastcgi: connection is in use or unusable")
	errNoBody = errors.New("ContentLength is set but Body is nil")
)

type timeoutError struct{ text string }

func (e *timeoutError) Error() string        { return e.text }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// TransportError is the error of a request that failed because the connection
// failed, or because it was given up: its context was done, a timeout expired,
// or [Conn.Interrupt] was called. Its fields tell whether the request may be
// retried.
type TransportError struct {
	// Sent is the number of bytes of the request that were passed to the
	// operating system.
	Sent int64
	// ResponseStarted is true if at least one byte of STDOUT was received.
	ResponseStarted bool
	// Err is the cause. If the connection ended before the response did, it
	// wraps io.ErrUnexpectedEOF.
	Err error
}

// Error implements error.
func (e *TransportError) Error() string {
	return "fastcgi: " + strings.TrimPrefix(e.Err.Error(), "fastcgi: ")
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrNotSent) true if nothing was sent.
func (e *TransportError) Is(target error) bool {
	return target == ErrNotSent && e.Sent == 0 && !e.ResponseStarted
}

// Timeout reports whether the cause is a timeout. It implements net.Error.
func (e *TransportError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary implements net.Error.
func (e *TransportError) Temporary() bool { return e.Timeout() }

// ResponseStarted reports whether PHP had begun to respond to the request that
// failed with err: at least one byte of the response was received. It is true
// for a [*ProtocolError], which is an error in the response.
func ResponseStarted(err error) bool {
	if t, ok := errors.AsType[*TransportError](err); ok {
		return t.ResponseStarted
	}
	_, ok := errors.AsType[*ProtocolError](err)
	return ok
}

// ProtocolError means that a response is not valid FastCGI or that its header is
// not valid CGI, or that the application rejected the request. If the records
// themselves were valid, the connection stays usable: see [Conn.Reusable] and
// [Conn.Broken].
type ProtocolError struct {
	// Problem describes what was wrong.
	Problem string
}

// Error implements error.
func (e *ProtocolError) Error() string { return "fastcgi: " + e.Problem }

func protocolErrorf(format string, args ...any) *ProtocolError {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

// TruncatedError means that PHP has ended a request before the end of the
// response's body: the body is incomplete. The connection stays usable. It wraps
// io.ErrUnexpectedEOF.
type TruncatedError struct {
	// Problem describes what is missing.
	Problem string
}

// Error implements error.
func (e *TruncatedError) Error() string { return "fastcgi: response body is incomplete: " + e.Problem }

// Unwrap returns io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// ParamError means that a parameter cannot be sent. Nothing of its request is
// sent.
type ParamError struct {
	// Name is the parameter's name, truncated to 64 bytes.
	Name string
	// Size is the length of the encoded pair. A pair must fit into one record,
	// or php-cgi closes the connection.
	Size int
	// NUL is true if the name or the value contains a NUL byte, where PHP would
	// truncate it.
	NUL bool
}

// Error implements error.
func (e *ParamError) Error() string {
	if e.NUL {
		return fmt.Sprintf("fastcgi: parameter %q contains a NUL byte", e.Name)
	}
	return fmt.Sprintf("fastcgi: parameter %q is too large (%d bytes encoded, at most %d)", e.Name, e.Size, maxContent)
}

// BodyError means that the request body could not be read up to its
// ContentLength. The fault lies with the source of the body, not with the peer.
type BodyError struct {
	// Err is the error of Body.Read, or io.ErrUnexpectedEOF if the body ended
	// early.
	Err error
}

// Error implements error.
func (e *BodyError) Error() string { return "fastcgi: reading the request body: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }
