package fastcgi

// chunkedDecoder decodes the chunked transfer coding (RFC 9112, section 7.1), which
// scripts have no reason to use, but which some applications that were made for other
// servers do. A trailer section is dropped.
type chunkedDecoder struct {
	state  chunkedState
	size   int64 // of the current chunk, or what is left of it
	digits int   // of size that have been read
}

type chunkedState int

const (
	chunkSize      chunkedState = iota // the digits of the size
	chunkSpace                         // white space after it
	chunkExtension                     // up to the end of the line
	chunkSizeLF                        // the LF after the size's CR
	chunkContent                       // size more bytes
	chunkCR                            // the CR after the content
	chunkLF                            // the LF after that
	chunkedEnd                         // the last chunk has been read
	chunkedInvalid                     // something else has been read
)

const (
	// maxChunkDigits limits a size to what an int64 can hold.
	maxChunkDigits = 15

	// maxChunkStart is how many bytes may be needed to know whether a body is chunked.
	maxChunkStart = 64
)

// decode moves the content in p to the beginning of p and returns it. It drops
// everything after the last chunk, or after an invalid one.
func (d *chunkedDecoder) decode(p []byte) []byte {
	out := p[:0]
	for len(p) > 0 && d.state < chunkedEnd {
		if d.state == chunkContent {
			n := int(min(d.size, int64(len(p))))
			out = append(out, p[:n]...)
			p = p[n:]
			if d.size -= int64(n); d.size == 0 {
				d.state = chunkCR
			}
			continue
		}
		d.next(p[0])
		p = p[1:]
	}
	return out
}

// next decodes one byte of the framing.
func (d *chunkedDecoder) next(c byte) {
	switch digit, isDigit := hexDigit(c); {
	case d.state == chunkSize && isDigit && d.digits < maxChunkDigits:
		d.size = d.size<<4 | digit
		d.digits++
	case (d.state == chunkSize || d.state == chunkSpace) && d.digits > 0 && (c == ' ' || c == '\t'):
		d.state = chunkSpace
	case (d.state == chunkSize || d.state == chunkSpace) && d.digits > 0 && c == '\r':
		d.state = chunkSizeLF
	case d.state == chunkSize && d.digits > 0 && c == ';':
		d.state = chunkExtension
	case d.state == chunkExtension && c != '\n':
		if c == '\r' {
			d.state = chunkSizeLF
		}
	case d.state == chunkSizeLF && c == '\n' && d.size == 0:
		d.state = chunkedEnd
	case d.state == chunkSizeLF && c == '\n':
		d.state = chunkContent
	case d.state == chunkCR && c == '\r':
		d.state = chunkLF
	case d.state == chunkLF && c == '\n':
		*d = chunkedDecoder{}
	default:
		d.state = chunkedInvalid
	}
}

func hexDigit(c byte) (value int64, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10, true
	}
	return 0, false
}

// problem says why the body is incomplete if it ends now; it is empty if the body is
// complete.
func (d *chunkedDecoder) problem() string {
	switch d.state {
	case chunkedEnd:
		return ""
	case chunkedInvalid:
		return "the chunked transfer coding is invalid"
	default:
		return "the last chunk is missing"
	}
}

// startsChunk reports whether a body that begins with p is chunked: whether it begins
// with the size of a chunk. decided is false if p is too short to know.
func startsChunk(p []byte) (chunked, decided bool) {
	var d chunkedDecoder
	for _, c := range p {
		d.next(c)
		switch d.state {
		case chunkSize, chunkSpace, chunkSizeLF:
		case chunkedInvalid:
			return false, true
		default:
			return true, true
		}
	}
	return false, len(p) > maxChunkStart
}
