package fastcgi

import (
	"errors"
	"strconv"
	"time"
)

const (
	// maxOut is the size from which on the records of a response are written.
	maxOut = 64 << 10

	// maxStdoutContent is the content length of the largest STDOUT record, a multiple
	// of 8 as in PHP's own records.
	maxStdoutContent = 65528
)

// WriteStdout adds a part of the response. It is written when enough has come
// together, or by Flush or End.
func (r *ServerRequest) WriteStdout(p []byte) error { return r.write(typeStdout, p) }

// WriteStderr adds a message for the web server's error log.
func (r *ServerRequest) WriteStderr(p []byte) error { return r.write(typeStderr, p) }

func (r *ServerRequest) write(typ recordType, p []byte) error {
	for len(p) > 0 && r.writeErr == nil {
		n := min(len(p), maxStdoutContent)
		if n == maxStdoutContent {
			r.writeLarge(typ, p[:n])
			p = p[n:]
			continue
		}
		r.out = appendPadded(r.out, typ, r.id, p[:n])
		p = p[n:]
		if len(r.out) >= maxOut {
			r.Flush() // the loop ends by writeErr
		}
	}
	return r.writeErr
}

// writeLarge writes a record of the maximum size, which has no padding, with what was
// added before, without copying its content.
func (r *ServerRequest) writeLarge(typ recordType, content []byte) {
	r.out = appendHeader(r.out, typ, r.id, len(content))
	r.parts = [2][]byte{r.out, content}
	r.writeErr = r.c.writeParts(r.parts[:], r.handler.Limits().Timeout)
	r.parts = [2][]byte{}
	r.out = r.out[:0]
}

// Flush writes what was added so far.
func (r *ServerRequest) Flush() error {
	if r.writeErr == nil && len(r.out) > 0 {
		r.writeErr = r.c.write(r.out, r.handler.Limits().Timeout)
		r.out = r.out[:0]
	}
	return r.writeErr
}

// Reset drops what was added and not written yet.
func (r *ServerRequest) Reset() { r.out = r.out[:0] }

// End ends the response. What is written afterwards is dropped.
func (r *ServerRequest) End() error {
	if r.ended {
		return r.writeErr
	}
	r.ended = true
	// The web server may send its next request as soon as it has END_REQUEST.
	r.stopWatching()
	if r.writeErr == nil {
		r.out = appendEnd(r.out, r.id, requestComplete)
	}
	return r.Flush()
}

// write writes whole records.
func (c *serverConn) write(p []byte, timeout time.Duration) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.startWrite(timeout)
	_, err := c.nc.Write(p)
	c.writing.Store(0)
	return err
}

// writeParts is write for records in several parts.
func (c *serverConn) writeParts(parts [][]byte, timeout time.Duration) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.startWrite(timeout)
	c.parts = parts
	_, err := c.parts.WriteTo(c.nc)
	c.writing.Store(0)
	return err
}

// startWrite limits the time of the write that follows: see Server.sweep.
func (c *serverConn) startWrite(timeout time.Duration) {
	if c.writeLimit.Load() != int64(timeout) {
		c.writeLimit.Store(int64(timeout))
	}
	c.writing.Store(serverClock())
	c.s.startSweep()
}

// writeRecord writes a record of at most maxContent bytes.
func (c *serverConn) writeRecord(typ recordType, id uint16, content []byte) error {
	return c.write(appendPadded(nil, typ, id, content), c.handler.Limits().Timeout)
}

// writeEnd ends a request that was not accepted.
func (c *serverConn) writeEnd(id uint16, status endStatus) error {
	return c.write(appendEnd(nil, id, status), c.handler.Limits().Timeout)
}

// appendPadded appends a record with padding, as PHP does: the content of each record
// begins at a multiple of 8.
func appendPadded(dst []byte, typ recordType, id uint16, content []byte) []byte {
	padding := -len(content) & 7
	dst = append(dst, version1, byte(typ), byte(id>>8), byte(id), byte(len(content)>>8), byte(len(content)), byte(padding), 0)
	dst = append(dst, content...)
	return append(dst, make([]byte, padding)...)
}

// appendEnd appends END_REQUEST.
func appendEnd(dst []byte, id uint16, status endStatus) []byte {
	dst = appendHeader(dst, typeEndRequest, id, endRequestLen)
	return append(dst, 0, 0, 0, 0, byte(status), 0, 0, 0)
}

// appendValue appends the value of a variable of GET_VALUES, if it is known. limit is
// the number of connections.
func appendValue(dst []byte, name string, limit int) []byte {
	var value string
	switch name {
	case "FCGI_MAX_CONNS", "FCGI_MAX_REQS":
		value = strconv.Itoa(limit)
	case "FCGI_MPXS_CONNS":
		value = "0"
	default:
		return dst
	}
	dst = append(dst, byte(len(name)), byte(len(value)))
	dst = append(dst, name...)
	return append(dst, value...)
}

// Abort ends the response without its end: the connection is closed, so that the web
// server knows that something is missing.
func (r *ServerRequest) Abort() {
	r.ended = true
	if r.writeErr == nil {
		r.writeErr = errAborted
	}
}

var errAborted = errors.New("fastcgi: response aborted")
