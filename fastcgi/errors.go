package fastcgi

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

var (
	// ErrNotSent is what a [*TransportError] is when not one byte of the
	// request reached the peer: it may be sent again over another connection.
	ErrNotSent = errors.New("fastcgi: nothing of the request was sent")

	// ErrClosed is why I/O fails after [Conn.Close].
	ErrClosed = errors.New("fastcgi: connection closed")

	// ErrClosedAfterGetValues is what [Conn.Handshake] returns when the peer
	// answers GET_VALUES and then closes: PHP before 8.2.13 (bug #76922).
	// Connect again and use [Conn.PingRequest].
	ErrClosedAfterGetValues = errors.New("fastcgi: peer closes the connection after GET_VALUES")

	// ErrReadTimeout says that nothing came for [Request.ReadTimeout]. It is an
	// [os.ErrDeadlineExceeded] and a net.Error.
	ErrReadTimeout error = &timeoutError{"fastcgi: no response within the read timeout"}

	// ErrWriteTimeout says that the peer took nothing for
	// [Request.WriteTimeout]. It is an [os.ErrDeadlineExceeded] and a net.Error.
	ErrWriteTimeout error = &timeoutError{"fastcgi: request not read within the write timeout"}

	errBusy   = errors.New("fastcgi: connection is in use or spent")
	errNoBody = errors.New("no body was given")
)

type timeoutError struct{ text string }

func (e *timeoutError) Error() string        { return e.text }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// TransportError is a request that failed because the connection did, or
// because it was given up: by its context, by a timeout or by
// [Conn.Interrupt]. It has what decides whether the request may be repeated.
type TransportError struct {
	// Sent counts the bytes of the request that were handed to the system.
	Sent int64
	// ResponseStarted says that at least one byte of STDOUT had arrived.
	ResponseStarted bool
	// Err is the cause. The end of the connection before that of the response
	// is an io.ErrUnexpectedEOF.
	Err error
}

func (e *TransportError) Error() string {
	return "fastcgi: " + strings.TrimPrefix(e.Err.Error(), "fastcgi: ")
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrNotSent) true when nothing was sent.
func (e *TransportError) Is(target error) bool {
	return target == ErrNotSent && e.Sent == 0 && !e.ResponseStarted
}

// Timeout makes a TransportError a net.Error when its cause is one.
func (e *TransportError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary is there for net.Error only.
func (e *TransportError) Temporary() bool { return e.Timeout() }

// ResponseStarted reports whether PHP had begun to answer the request that failed
// with err: at least one byte of response had arrived. It is true of errors
// that come of the response itself, as a [*ProtocolError] does.
func ResponseStarted(err error) bool {
	if t, ok := errors.AsType[*TransportError](err); ok {
		return t.ResponseStarted
	}
	_, ok := errors.AsType[*ProtocolError](err)
	return ok
}

// ProtocolError is a response that is not FastCGI, or whose head is not CGI,
// or a request that the application refused. Where the records themselves were
// sound, the connection stays usable: ask [Conn.Broken] and [Conn.Reusable].
type ProtocolError struct {
	// Problem says what was wrong.
	Problem string
}

func (e *ProtocolError) Error() string { return "fastcgi: " + e.Problem }

func protocolErrorf(format string, args ...any) *ProtocolError {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

// ParamError is a parameter that cannot be sent. Nothing of its request is.
type ParamError struct {
	// Name is the parameter's name, cut when it is very long.
	Name string
	// Size is the length of the encoded pair. A pair must fit into one record,
	// because php-cgi drops the connection if it does not.
	Size int
	// NUL says that name or value has a NUL byte, at which PHP would cut it.
	NUL bool
}

func (e *ParamError) Error() string {
	if e.NUL {
		return fmt.Sprintf("fastcgi: parameter %q contains a NUL byte", e.Name)
	}
	return fmt.Sprintf("fastcgi: parameter %q is too large (%d bytes encoded, at most %d)", e.Name, e.Size, maxContent)
}

// BodyError is a request body that could not be read to its announced end. It
// is the fault of whoever made the body, not of the peer.
type BodyError struct {
	// Err is what Body.Read returned; io.ErrUnexpectedEOF if it ended early.
	Err error
}

func (e *BodyError) Error() string { return "fastcgi: reading the request body: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }
