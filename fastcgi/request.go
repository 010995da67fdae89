package fastcgi

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxInline is the largest request, including its body, that is sent in one
	// write, by the goroutine that then reads the response. It fits into any
	// socket buffer, so the write cannot block on a peer that is itself blocked
	// writing to us.
	maxInline = 64 << 10

	// maxPooledRequest is the largest buffer that Free keeps for another request.
	maxPooledRequest = 128 << 10

	headerPrefix = "HTTP_"
)

// Request is a request to a FastCGI responder. Parameters are encoded when they
// are added, so that [Conn.RoundTrip] has nothing to copy. Its fields must be set
// before it is passed to RoundTrip. A Request must not be used concurrently.
type Request struct {
	// Body is sent as STDIN; nil means no body. Exactly ContentLength bytes are
	// read from it. If it has fewer, the error is a [*BodyError], and PHP must be
	// killed if part of it was sent (see [Conn.Broken]).
	// A Read in progress is waited for even if the request is given up, so Read
	// must not block forever, except with StreamBody.
	Body io.Reader

	// ContentLength is the length of Body in bytes. The caller must also add the
	// parameter CONTENT_LENGTH with the same value: it determines how much
	// php-cgi reads, and a body without it breaks the connection.
	ContentLength int64

	// StreamBody sends Body while it arrives, each Read at once, and sends the
	// parameters before the first Read. A Read in progress is not waited for when
	// the request has ended: it may return later, and its bytes are lost.
	// If Body ends early, or the context is canceled because the client disconnected, STDIN
	// is ended after what has arrived: PHP runs the script with that, as it does
	// behind php_fastcgi and nginx, and the connection is not Broken.
	StreamBody bool

	// BodyTimeout limits a Read of a streamed Body; 0 is no limit. After that, STDIN
	// is ended and the error is a [*BodyError] with [ErrBodyTimeout].
	BodyTimeout time.Duration

	// Stderr receives the content of STDERR records in pieces as they arrive, on
	// the goroutine that calls RoundTrip or reads the response's body. Its errors
	// are ignored. If it is nil, the content is discarded. If it is a [LogHandler], it
	// receives the entries of frankenphp_log(), which otherwise are written as text.
	Stderr io.Writer

	// ReadTimeout limits how long PHP may send nothing, and WriteTimeout how long
	// it may read nothing of the request; 0 is no limit. ReadTimeout is extended
	// while the body makes progress, because PHP may not respond before it has
	// all of it.
	ReadTimeout, WriteTimeout time.Duration

	// SignalMark begins the signals that functions of PHP write to STDERR, which php-cgi
	// lacks and phpbin/runtime defines. It has to be unguessable: who knows it can end
	// a response. Empty: there are no signals.
	SignalMark string

	// Interim receives the interim responses (1xx) that PHP sends by a signal before
	// the response, on the goroutine that calls RoundTrip. If it is nil, they are
	// dropped.
	Interim InterimHandler

	// Head must be set if the request method is HEAD: the response has no body.
	Head bool

	// Raw passes the response on as PHP has sent it: the header is not parsed, but
	// part of the body, and the response's Header is nil. For the client of a
	// [Server].
	Raw bool

	buf         []byte // BEGIN_REQUEST and PARAMS; the last record has no length yet
	recordStart int    // offset in buf of the last record's header
	err         error  // the first parameter that could not be added
	consumed    bool   // Body has been read from
}

// LogHandler receives what a worker script logs by frankenphp_log(): see Request.Stderr.
// context is a JSON object, or empty. The levels are those of log/slog: -4 debug, 0 info,
// 4 warn, 8 error, and any between and beyond. It is called as the Write of Stderr is.
type LogHandler interface {
	HandleLog(level int, message string, context []byte)
}

// InterimHandler receives interim responses (1xx).
type InterimHandler interface {
	HandleInterim(status int, header http.Header)
}

var requests = sync.Pool{New: func() any {
	return &Request{buf: make([]byte, 0, 4<<10)}
}}

// NewRequest returns an empty request. Call [Request.Free] when it is no longer
// needed.
func NewRequest() *Request {
	r := requests.Get().(*Request) //nolint:forcetypeassert // the pool has nothing else
	r.buf = appendBeginRequest(r.buf[:0])
	r.openRecord()
	return r
}

// Free makes the request's memory available to other requests. The request must
// not be used afterwards, and the body of its response must have been closed or
// read to its end.
func (r *Request) Free() {
	buf := r.buf
	if cap(buf) > maxPooledRequest {
		buf = nil
	}
	*r = Request{buf: buf}
	requests.Put(r)
}

// Err returns the [*ParamError] of the first parameter that could not be added,
// or nil.
func (r *Request) Err() error { return r.err }

// openRecord starts a PARAMS record. Its length is written by closeRecord.
func (r *Request) openRecord() {
	r.recordStart = len(r.buf)
	r.buf = appendHeader(r.buf, typeParams, requestID, 0)
}

// closeRecord writes the length of the open record into its header.
func (r *Request) closeRecord() {
	putContentLength(r.buf[r.recordStart:], len(r.buf)-r.recordStart-headerLen)
}

// reserve starts a new record if a pair of n bytes does not fit into the open
// one: php-cgi closes the connection if a pair is split over two records.
func (r *Request) reserve(n int) {
	if len(r.buf)-r.recordStart-headerLen+n > maxContent {
		r.closeRecord()
		r.openRecord()
	}
}

// fail records the first error.
func (r *Request) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// AddParam adds a parameter. If a name is added more than once, PHP uses the last
// value. If the parameter cannot be sent, [Request.Err] and [Conn.RoundTrip]
// return a [*ParamError].
func (r *Request) AddParam(name, value string) {
	r.reserve(pairSize(len(name), len(value)))
	buf, err := AppendPair(r.buf, name, value)
	if err != nil {
		r.fail(err)
		return
	}
	r.buf = buf
}

// AddHeader adds the HTTP header name as the parameter HTTP_NAME. Several values
// are joined as HTTP defines it: values of Cookie with "; " (RFC 9113, section
// 8.2.3), all others with ", " (RFC 9110, section 5.3). AddHeader adds any
// header: the caller decides which ones PHP may see. The errors are those of
// [Request.AddParam].
func (r *Request) AddHeader(name string, values []string) {
	sep := headerSeparator(name)
	size := max(0, len(values)-1) * len(sep)
	nul := strings.IndexByte(name, 0) >= 0
	for _, v := range values {
		size += len(v)
		nul = nul || strings.IndexByte(v, 0) >= 0
	}
	nameLen := len(headerPrefix) + len(name)
	n := pairSize(nameLen, size)
	if n > maxContent || nul {
		r.fail(&ParamError{Name: headerPrefix + truncate(name), Size: n, NUL: nul})
		return
	}
	r.reserve(n)
	r.buf = appendLength(r.buf, nameLen)
	r.buf = appendLength(r.buf, size)
	r.buf = append(r.buf, headerPrefix...)
	r.buf = appendHeaderName(r.buf, name)
	for i, v := range values {
		if i > 0 {
			r.buf = append(r.buf, sep...)
		}
		r.buf = append(r.buf, v...)
	}
}

// headerSeparator returns what joins several values of a header.
func headerSeparator(name string) string {
	if strings.EqualFold(name, "Cookie") {
		return "; "
	}
	return ", "
}

// AddEncoded adds pairs that were encoded by [EncodePairs] or [AppendPair]. The
// errors are those of [Request.AddParam].
func (r *Request) AddEncoded(block []byte) {
	for len(block) > 0 {
		_, _, first := nextPair(block)
		if first == 0 || first > maxContent {
			r.fail(&ParamError{Name: "(encoded)", Size: len(block)})
			return
		}
		r.reserve(first)
		n := len(block)
		if space := maxContent - (len(r.buf) - r.recordStart - headerLen); n > space {
			n = wholePairs(block, space)
		}
		r.buf = append(r.buf, block[:n]...)
		block = block[n:]
	}
}

// Rewind prepares the request for another [Conn.RoundTrip]: it seeks Body to its
// start. It fails if Body has been read from and is not an [io.Seeker].
func (r *Request) Rewind() error {
	if !r.consumed {
		return nil
	}
	s, ok := r.Body.(io.Seeker)
	if !ok {
		return errors.New("fastcgi: request body cannot be sent again: it is not an io.Seeker")
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r.consumed = false
	return nil
}

// seal completes the bytes of the first write: BEGIN_REQUEST, PARAMS, and STDIN
// too if the body is short, which makes the request complete. They are valid until
// unseal is called.
func (r *Request) seal() (first []byte, unsealedLen int, complete bool, err error) {
	unsealedLen = len(r.buf)
	if unsealedLen-r.recordStart > headerLen {
		r.closeRecord()
		r.buf = appendHeader(r.buf, typeParams, requestID, 0)
	} // otherwise the open record is empty, and as such ends PARAMS
	n := r.ContentLength
	if n > 0 && (r.StreamBody || int64(len(r.buf))+n > maxInline) {
		return r.buf, unsealedLen, false, nil
	}
	if n > 0 {
		r.buf = appendHeader(r.buf, typeStdin, requestID, int(n))
		body := len(r.buf)
		r.buf = append(r.buf, make([]byte, n)...)
		r.consumed = true
		if _, err := io.ReadFull(r.Body, r.buf[body:]); err != nil {
			return nil, unsealedLen, false, &BodyError{unexpectedEOF(err)}
		}
	}
	r.buf = appendHeader(r.buf, typeStdin, requestID, 0)
	return r.buf, unsealedLen, true, nil
}

// unseal removes what seal has added, so that the request can be sent again.
func (r *Request) unseal(unsealedLen int) { r.buf = r.buf[:unsealedLen] }

// check returns an error if the request cannot be sent.
func (r *Request) check() error {
	switch {
	case r.err != nil:
		return r.err
	case r.ContentLength < 0:
		// With CONTENT_LENGTH=-1 php-cgi would ignore post_max_size.
		return &BodyError{errors.New("ContentLength is negative: the length must be known")}
	case r.ContentLength > 0 && r.Body == nil:
		return &BodyError{errNoBody}
	}
	return nil
}

// unexpectedEOF turns io.EOF, from a body that is too short, into
// io.ErrUnexpectedEOF.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
