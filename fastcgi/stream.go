package fastcgi

import (
	"io"
	"sync"
)

const (
	// bufferSize is the size of the read buffer. Most responses fit, including
	// their header, so that Fill can buffer them completely.
	bufferSize = MaxFill + 8<<10

	// MaxFill is the largest number of bytes that [Body.Fill] buffers.
	MaxFill = 128 << 10

	// unlimited is the stream.limit of a body of unknown length.
	unlimited = -1
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// smallBuffers are for what is received only to be discarded.
var smallBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// stream decodes a response in place: bytes from the wire go in, the content of
// STDOUT comes out. Its buffer holds
//
//	[ read | content: start..end | free | wire: wireStart..wireEnd | writable ]
//
// where content is decoded and wire is not. decode moves the content of each
// record next to that of the record before it, so that what PHP wrote in many
// pieces is delivered in one.
type stream struct {
	buf                []byte
	pooled             *[bufferSize]byte // the initial buf, from buffers; nil after grow or shrink
	small              *[4 << 10]byte    // buf after shrink, from smallBuffers; else nil
	start, end         int
	wireStart, wireEnd int

	typ       recordType // type of the current record
	remaining int        // bytes of its content that are not decoded yet
	padding   int        // bytes of its padding that are not decoded yet
	limit     int64      // how much more content is wanted; the rest is discarded
	surplus   int64      // bytes of content discarded because of limit

	chunked *chunkedDecoder // of the content; nil if it is not chunked

	id              uint16    // of the request
	otherRequest    bool      // records of an earlier request were received and dropped
	responseStarted bool      // STDOUT content was received
	headDone        bool      // the header of the response has been skipped
	finished        bool      // nothing more of the content comes, though PHP may still run
	missing         int64     // bytes of the announced length that PHP has not sent by then
	worker          bool      // READY follows END_REQUEST: see NewWorkerConn
	awaitsReady     bool      // END_REQUEST was decoded, and READY was not
	ended           bool      // END_REQUEST was decoded, or READY with worker
	status          endStatus // the protocolStatus of END_REQUEST
	total           int64     // bytes received from the wire

	stderr     io.Writer
	signalMark string   // see Request.SignalMark
	signals    *signals // nil until PHP has written to STDERR, or without a mark
}

func (s *stream) init(stderr io.Writer) {
	s.pooled = buffers.Get().(*[bufferSize]byte) //nolint:forcetypeassert // the pool has nothing else
	s.buf = s.pooled[:]
	s.limit, s.id = unlimited, requestID
	s.stderr = stderr
}

// free releases the buffer and discards its content.
func (s *stream) free() {
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	if s.small != nil {
		smallBuffers.Put(s.small)
	}
	s.endStderr()
	s.pooled, s.small, s.buf, s.stderr = nil, nil, nil, nil
	s.start, s.end, s.wireStart, s.wireEnd = 0, 0, 0, 0
}

// buffered returns the length of the content.
func (s *stream) buffered() int { return s.end - s.start }

// trailing returns the number of bytes received after END_REQUEST.
func (s *stream) trailing() int { return s.wireEnd - s.wireStart }

// take returns and consumes the content. It is valid until writable is called.
func (s *stream) take() []byte {
	p := s.buf[s.start:s.end]
	s.start = s.end
	return p
}

// content returns the content without consuming it.
func (s *stream) content() []byte { return s.buf[s.start:s.end] }

// skip discards n bytes of content.
func (s *stream) skip(n int) { s.start += n }

// copyTo moves content to p.
func (s *stream) copyTo(p []byte) int {
	n := copy(p, s.buf[s.start:s.end])
	s.start += n
	return n
}

// writable returns the space for the next bytes from the wire. It is empty if
// content fills the buffer. writable moves the wire bytes next to the content,
// which is cheap, because decode leaves no more than the beginning of a record.
func (s *stream) writable() []byte {
	if s.start == s.end {
		s.start, s.end = 0, 0
	}
	if s.end < s.wireStart {
		s.wireEnd = s.end + copy(s.buf[s.end:], s.buf[s.wireStart:s.wireEnd])
		s.wireStart = s.end
	}
	return s.buf[s.wireEnd:]
}

// grow doubles the buffer, for a response header that does not fit.
func (s *stream) grow() {
	buf := make([]byte, 2*len(s.buf))
	copy(buf, s.buf[:s.wireEnd])
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.pooled, s.buf = nil, buf
}

// shrink replaces the buffer by a small one, for a response that is received only to
// be discarded. There must be no content; decode leaves only the beginning of a record.
func (s *stream) shrink() {
	small := smallBuffers.Get().(*[4 << 10]byte) //nolint:forcetypeassert // the pool has nothing else
	s.wireStart, s.wireEnd = 0, copy(small[:], s.buf[s.wireStart:s.wireEnd])
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.pooled, s.small, s.buf = nil, small, small[:]
	s.start, s.end = 0, 0
}

// received adds n bytes, which were stored in writable, to the wire bytes.
func (s *stream) received(n int) {
	s.wireEnd += n
	s.total += int64(n)
}

// setLimit limits the content to n more bytes, including what is buffered.
func (s *stream) setLimit(n int64) {
	have := int64(s.buffered())
	if s.finished && have < n {
		s.missing = n - have
		n = have
	}
	if have > n {
		s.surplus = have - n
		s.end = s.start + int(n)
		n = 0
	} else {
		n -= have
	}
	s.limit = n
}

// decodeChunked decodes the content, and all that follows, from the chunked transfer
// coding.
func (s *stream) decodeChunked() {
	s.chunked = new(chunkedDecoder)
	s.end = s.start + len(s.chunked.decode(s.content()))
}

// decode decodes the wire bytes, up to END_REQUEST. A record that does not belong
// to the response is an error, after which the connection cannot be used.
func (s *stream) decode() error {
	for !s.ended {
		switch {
		case s.remaining > 0 && s.typ == typeEndRequest:
			if s.wireEnd-s.wireStart < endRequestLen {
				return nil
			}
			s.status = endStatus(s.buf[s.wireStart+4])
			s.wireStart += endRequestLen
			s.remaining = 0
			s.recordEnded()
		case s.remaining > 0:
			n := min(s.remaining, s.wireEnd-s.wireStart)
			if n == 0 {
				return nil
			}
			s.deliver(s.buf[s.wireStart : s.wireStart+n])
			s.wireStart += n
			s.remaining -= n
		case s.padding > 0:
			n := min(s.padding, s.wireEnd-s.wireStart)
			if n == 0 {
				return nil
			}
			s.wireStart += n
			s.padding -= n
			s.recordEnded()
		default:
			if s.wireEnd-s.wireStart < headerLen {
				return nil
			}
			if err := s.startRecord(parseHeader(s.buf[s.wireStart:])); err != nil {
				return err
			}
			s.wireStart += headerLen
		}
	}
	return nil
}

// recordEnded is called at the end of the content and of the padding of a record.
func (s *stream) recordEnded() {
	switch {
	case s.padding > 0:
	case s.typ == typeEndRequest && s.worker:
		s.finishContent()
		s.awaitsReady = true
	case s.typ == typeEndRequest, s.typ == typeReady:
		s.ended = true
	}
}

// finishContent ends the content after what was received so far.
func (s *stream) finishContent() {
	if s.finished {
		return
	}
	s.finished = true
	if s.limit > 0 {
		s.missing = s.limit
	}
	s.limit = 0
}

// startRecord checks a record header and makes the record the current one.
func (s *stream) startRecord(h header) error {
	switch {
	case h.version != version1:
		return protocolErrorf("record of version %d", h.version)
	case s.awaitsReady:
		if err := checkReady(h); err != nil {
			return err
		}
	case h.typ != typeStdout && h.typ != typeStderr && h.typ != typeEndRequest:
		return protocolErrorf("unexpected record of type %d", h.typ)
	case h.typ == typeEndRequest && h.content != endRequestLen:
		return protocolErrorf("END_REQUEST of %d bytes, expected %d", h.content, endRequestLen)
	case 0 < h.id && h.id < s.id:
		// The copy of a script that forked responds to an earlier request.
		s.otherRequest = true
		h.typ = typeOtherRequest
	case h.id != s.id:
		return protocolErrorf("record for request %d, expected %d", h.id, s.id)
	}
	s.typ, s.remaining, s.padding = h.typ, h.content, h.padding
	s.ended = h.typ == typeReady && h.padding == 0
	return nil
}

// deliver passes on p, a piece of content of the current record at wireStart.
func (s *stream) deliver(p []byte) {
	if s.typ == typeOtherRequest {
		return
	}
	if s.typ == typeStderr {
		s.writeStderr(p)
		return
	}
	s.responseStarted = true
	if s.finished {
		return
	}
	if s.headDone && s.signals != nil {
		p = p[:copy(p, p[s.dropped(len(p)):])]
	}
	if s.chunked != nil {
		p = s.chunked.decode(p)
	}
	if s.limit != unlimited {
		n := min(int64(len(p)), s.limit)
		s.surplus += int64(len(p)) - n
		p = p[:n]
		s.limit -= n
	}
	if len(p) == 0 {
		return
	}
	if s.start == s.end {
		// There is no content to join it to, so it can stay where it is.
		s.start, s.end = s.wireStart, s.wireStart+len(p)
		return
	}
	s.end += copy(s.buf[s.end:], p)
}

// decodeValues decodes a GET_VALUES_RESULT record. size is the size of the record,
// 0 if p does not hold all of it yet.
func decodeValues(p []byte) (size int, err error) {
	if len(p) < headerLen {
		return 0, nil
	}
	h := parseHeader(p)
	switch {
	case h.version != version1:
		return 0, protocolErrorf("record of version %d", h.version)
	case h.typ != typeGetValuesResult:
		return 0, protocolErrorf("record of type %d, expected GET_VALUES_RESULT", h.typ)
	case h.id != managementID:
		return 0, protocolErrorf("GET_VALUES_RESULT for request %d", h.id)
	}
	size = headerLen + h.content + h.padding
	if len(p) < size {
		return 0, nil
	}
	content := p[headerLen : headerLen+h.content]
	if wholePairs(content, len(content)) != len(content) {
		return 0, protocolErrorf("GET_VALUES_RESULT has malformed name-value pairs")
	}
	return size, nil
}

// appendGetValues appends a GET_VALUES record for FCGI_MPXS_CONNS, a variable
// that every FastCGI application knows (FastCGI 1.0, section 4.1).
func appendGetValues(dst []byte) []byte {
	const name = "FCGI_MPXS_CONNS"
	dst = appendHeader(dst, typeGetValues, managementID, 2+len(name))
	dst = append(dst, byte(len(name)), 0)
	return append(dst, name...)
}
