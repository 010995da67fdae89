package fastcgi

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// maxInline is the size up to which a request is sent, body and all, in one
	// write by the goroutine that then reads the answer. Any socket buffer takes
	// it, so that the write cannot wait for a peer that itself waits for us.
	maxInline = 64 << 10

	// maxPooledRequest is the largest buffer that goes back to the pool.
	maxPooledRequest = 128 << 10

	headerPrefix = "HTTP_"
)

// Request is one request to a responder. Its parameters are encoded as they
// are added, behind the BEGIN_REQUEST record, so that [Conn.RoundTrip] has nothing
// left to copy. Set the fields before Do.
type Request struct {
	// Body is sent as STDIN; nil means none. Exactly ContentLength bytes are
	// read from it: fewer are a [*BodyError], and PHP must then be killed,
	// because it would take what it has for the whole. A Read that has begun is
	// waited for even when the request is given up, so it must not block for ever.
	Body io.Reader

	// ContentLength is the length of Body. It must be the value of the parameter
	// CONTENT_LENGTH too, which the caller adds: php-cgi reads as much as that
	// says, and a body without it breaks the connection.
	ContentLength int64

	// Stderr is given the content of STDERR records, in pieces as they arrive,
	// on the goroutine that calls Do or reads the body. What it returns is
	// ignored. nil discards them.
	Stderr io.Writer

	// ReadTimeout limits how long PHP may be silent, WriteTimeout how long it may
	// take nothing of the request; 0 is no limit. As long as the body is on
	// its way, PHP's silence is not counted.
	ReadTimeout, WriteTimeout time.Duration

	// Head says that the request method is HEAD: the response has no body.
	Head bool

	buf         []byte // BEGIN_REQUEST and PARAMS; the last PARAMS record is open
	recordStart int    // where in buf the header of the open record is
	err         error  // the first parameter that could not be added
	consumed    bool   // Body has been read from
}

var requests = sync.Pool{New: func() any {
	return &Request{buf: make([]byte, 0, 4<<10)}
}}

// NewRequest returns an empty request. Free it when it is done with.
func NewRequest() *Request {
	r := requests.Get().(*Request) //nolint:forcetypeassert // the pool has nothing else
	r.buf = appendBeginRequest(r.buf[:0])
	r.openRecord()
	return r
}

// Free gives the request's memory back. The request must not be used any more,
// and the body of its response must have been closed or read to its end.
func (r *Request) Free() {
	buf := r.buf
	if cap(buf) > maxPooledRequest {
		buf = nil
	}
	*r = Request{buf: buf}
	requests.Put(r)
}

// Err returns the error of the first parameter that could not be added.
func (r *Request) Err() error { return r.err }

func (r *Request) openRecord() {
	r.recordStart = len(r.buf)
	r.buf = appendHeader(r.buf, typeParams, requestID, 0)
}

// closeRecord writes the length of the open record into its header.
func (r *Request) closeRecord() {
	putContentLength(r.buf[r.recordStart:], len(r.buf)-r.recordStart-headerLen)
}

// reserve makes sure that a pair of n bytes lies wholly in the open record:
// php-cgi resets the connection when one is split over two.
func (r *Request) reserve(n int) {
	if len(r.buf)-r.recordStart-headerLen+n > maxContent {
		r.closeRecord()
		r.openRecord()
	}
}

func (r *Request) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// AddParam adds a parameter. PHP takes the last of those with the same name.
// A pair that cannot be sent is a [*ParamError], which Err and [Conn.RoundTrip] return.
func (r *Request) AddParam(name, value string) {
	r.reserve(pairSize(len(name), len(value)))
	buf, err := AppendPair(r.buf, name, value)
	if err != nil {
		r.fail(err)
		return
	}
	r.buf = buf
}

// AddHeader adds the HTTP header name as HTTP_NAME. Several values are joined
// as HTTP would: those of Cookie with "; " (RFC 9113, section 8.2.3), all
// others with ", " (RFC 9110, section 5.3). Which headers may pass is for the
// caller to decide; name is only translated.
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

func headerSeparator(name string) string {
	if strings.EqualFold(name, "Cookie") {
		return "; "
	}
	return ", "
}

// AddEncoded adds pairs that [EncodePairs] or [AppendPair] have encoded.
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

// Rewind makes the request ready for a second [Conn.RoundTrip]: it takes Body back to
// its start. It fails if that has been read from and is not an [io.Seeker].
func (r *Request) Rewind() error {
	if !r.consumed {
		return nil
	}
	s, ok := r.Body.(io.Seeker)
	if !ok {
		return errors.New("fastcgi: the request body cannot be sent again")
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r.consumed = false
	return nil
}

// seal completes what is sent by the first write: all records up to the end of
// PARAMS, and STDIN too if it is short (whole is then true). The buffer is
// only valid until unseal.
func (r *Request) seal() (first []byte, unsealedLen int, complete bool, err error) {
	unsealedLen = len(r.buf)
	if unsealedLen-r.recordStart > headerLen {
		r.closeRecord()
		r.buf = appendHeader(r.buf, typeParams, requestID, 0)
	} // else the open record is empty, and so ends PARAMS itself
	n := r.ContentLength
	if n > 0 && int64(len(r.buf))+n > maxInline {
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

// unseal takes off what seal has added, so that the request can be sent again.
func (r *Request) unseal(unsealedLen int) { r.buf = r.buf[:unsealedLen] }

// check returns why the request cannot be sent at all.
func (r *Request) check() error {
	switch {
	case r.err != nil:
		return r.err
	case r.ContentLength < 0:
		// CONTENT_LENGTH=-1 would make php-cgi read without post_max_size.
		return &BodyError{errors.New("its length is not known")}
	case r.ContentLength > 0 && r.Body == nil:
		return &BodyError{errNoBody}
	}
	return nil
}

// unexpectedEOF makes the end of a body that should go on an error.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
