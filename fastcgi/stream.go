package fastcgi

import (
	"io"
	"sync"
)

const (
	// bufferSize is the size of the buffer in which a response arrives: most
	// responses fit wholly, and so are read at once and collected by Fill.
	bufferSize = MaxFill + 8<<10

	// MaxFill is the most that [Body.Fill] collects.
	MaxFill = 128 << 10

	// unlimited is the limit of a body of unknown length.
	unlimited = -1
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// stream takes a response apart: the bytes from the wire go in, the content of
// STDOUT comes out. It works in place. Its buffer holds
//
//	[ taken | content: start..end | dead | wire bytes: raw..fill | room ]
//
// and decode moves the content of each record down to that of the one before,
// so that what PHP wrote in many pieces is passed on in one.
type stream struct {
	buf                []byte
	pooled             *[bufferSize]byte // what buf was at first; goes back to buffers
	start, end         int
	wireStart, wireEnd int

	typ       recordType // the record that is being decoded
	remaining int        // what is left of its content
	padding   int        // and of its padding
	limit     int64      // how much more content is wanted; the rest is swallowed

	id              uint16    // of the request
	otherRequest    bool      // records of an earlier request have come, and were dropped
	responseStarted bool      // STDOUT has had content
	ended           bool      // END_REQUEST has been decoded
	status          endStatus // what it said
	total           int64     // bytes that have come from the wire

	stderr io.Writer
}

func (s *stream) init(stderr io.Writer) {
	s.pooled = buffers.Get().(*[bufferSize]byte) //nolint:forcetypeassert // the pool has nothing else
	s.buf = s.pooled[:]
	s.limit, s.id = unlimited, requestID
	s.stderr = stderr
}

// free gives the buffer back; what was in it is lost.
func (s *stream) free() {
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.pooled, s.buf, s.stderr = nil, nil, nil
	s.start, s.end, s.wireStart, s.wireEnd = 0, 0, 0, 0
}

// buffered is how much content waits to be taken.
func (s *stream) buffered() int { return s.end - s.start }

// trailing is how many bytes have come behind END_REQUEST.
func (s *stream) trailing() int { return s.wireEnd - s.wireStart }

// drain returns the content that is there. It stays valid until room is called.
func (s *stream) take() []byte {
	p := s.buf[s.start:s.end]
	s.start = s.end
	return p
}

// content returns the content that is there, without taking it.
func (s *stream) content() []byte { return s.buf[s.start:s.end] }

// skip takes n bytes of content and throws them away.
func (s *stream) skip(n int) { s.start += n }

// copyTo moves content to p.
func (s *stream) copyTo(p []byte) int {
	n := copy(p, s.buf[s.start:s.end])
	s.start += n
	return n
}

// writable returns where the next bytes from the wire go; empty if the content
// that has not been taken fills the buffer. What is moved is at most the
// beginning of a record: decode leaves nothing else.
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

// grow doubles the buffer. Only a very large head needs it.
func (s *stream) grow() {
	buf := make([]byte, 2*len(s.buf))
	copy(buf, s.buf[:s.wireEnd])
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.pooled, s.buf = nil, buf
}

// received tells that n bytes have been put into room.
func (s *stream) received(n int) {
	s.wireEnd += n
	s.total += int64(n)
}

// setLimit sets how much more content is wanted; what is there counts.
func (s *stream) setLimit(n int64) {
	if have := int64(s.buffered()); have > n {
		s.end = s.start + int(n)
		n = 0
	} else {
		n -= have
	}
	s.limit = n
}

// decode decodes the wire bytes that are there, up to END_REQUEST. Whatever is
// not a record of this request is an error, after which the connection is lost.
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
			s.ended = s.padding == 0
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
			s.ended = s.padding == 0 && s.typ == typeEndRequest
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

// startRecord begins a record.
func (s *stream) startRecord(h header) error {
	switch {
	case h.version != version1:
		return protocolErrorf("record of version %d", h.version)
	case h.typ != typeStdout && h.typ != typeStderr && h.typ != typeEndRequest:
		return protocolErrorf("unexpected record of type %d", h.typ)
	case h.typ == typeEndRequest && h.content != endRequestLen:
		return protocolErrorf("END_REQUEST of %d bytes, expected %d", h.content, endRequestLen)
	case 0 < h.id && h.id < s.id:
		// Of an earlier request: the copy of a script that has forked.
		s.otherRequest = true
		h.typ = typeOtherRequest
	case h.id != s.id:
		return protocolErrorf("record for request %d, expected %d", h.id, s.id)
	}
	s.typ, s.remaining, s.padding = h.typ, h.content, h.padding
	return nil
}

// deliver hands a piece of content on, which lies at raw.
func (s *stream) deliver(p []byte) {
	if s.typ == typeOtherRequest {
		return
	}
	if s.typ == typeStderr {
		if s.stderr != nil {
			_, _ = s.stderr.Write(p) // see Request
		}
		return
	}
	s.responseStarted = true
	if s.limit != unlimited {
		p = p[:min(int64(len(p)), s.limit)]
		s.limit -= int64(len(p))
	}
	if len(p) == 0 {
		return
	}
	if s.start == s.end {
		// Nothing to join it to: it can stay where it is.
		s.start, s.end = s.wireStart, s.wireStart+len(p)
		return
	}
	s.end += copy(s.buf[s.end:], p)
}

// decodeValues decodes one GET_VALUES_RESULT record. size is 0 as long as the
// record is not complete.
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
		return 0, protocolErrorf("GET_VALUES_RESULT is not a list of pairs")
	}
	return size, nil
}

// appendGetValues appends the question that every FastCGI application can answer.
func appendGetValues(dst []byte) []byte {
	const name = "FCGI_MPXS_CONNS"
	dst = appendHeader(dst, typeGetValues, managementID, 2+len(name))
	dst = append(dst, byte(len(name)), 0)
	return append(dst, name...)
}
