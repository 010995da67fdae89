package fastcgitest

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Response is the list of steps that a [Responder] takes for a request. The bytes of
// consecutive steps are sent in one write, unless a step flushes or waits.
type Response []Step

// Step is a step of a [Response].
type Step func(*Wire) error

// Wire is the connection that the steps of a response write to.
type Wire struct {
	conn net.Conn
	id   uint16
	buf  []byte
	max  int // the largest write, in bytes; 0 is no limit
}

// OK returns a complete response: status 200, text/plain, and the body.
func OK(body string) Response {
	return Reply("Content-Type: text/plain\r\n\r\n" + body)
}

// Reply returns a complete response with this CGI output.
func Reply(output string) Response { return Response{Stdout(output), End()} }

// Stdout sends s as STDOUT, in as many records as needed.
func Stdout(s string) Step { return content(TypeStdout, s) }

// Stderr sends s as STDERR, in as many records as needed.
func Stderr(s string) Step { return content(TypeStderr, s) }

// content sends records as php-cgi does: padded to a multiple of 8 bytes.
func content(typ uint8, s string) Step {
	return func(w *Wire) error {
		for rest := s; len(rest) > 0; {
			n := min(len(rest), 65528)
			w.record(typ, w.id, rest[:n], -n&7)
			rest = rest[n:]
		}
		return nil
	}
}

// End sends END_REQUEST as php-cgi does, even for a script that failed.
func End() Step { return EndStatus(0, 0) }

// EndStatus sends END_REQUEST with this appStatus and protocolStatus (FastCGI
// 1.0, section 5.5).
func EndStatus(app uint32, protocol uint8) Step {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], app)
	b[4] = protocol
	return func(w *Wire) error {
		w.record(TypeEndRequest, w.id, string(b[:]), 0)
		return nil
	}
}

// Ready sends what a worker script sends when it is ready for the next request.
func Ready() Step { return Record(TypeReady, 0, "", 0) }

// Values sends GET_VALUES_RESULT with these names and values, each shorter than
// 128 bytes.
func Values(pairs ...string) Step {
	var s []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		s = append(s, byte(len(pairs[i])), byte(len(pairs[i+1])))
		s = append(s, pairs[i]...)
		s = append(s, pairs[i+1]...)
	}
	return Record(TypeGetValuesResult, 0, string(s), -len(s)&7)
}

// Record sends a record, valid or not.
func Record(typ uint8, id uint16, content string, padding int) Step {
	return func(w *Wire) error {
		w.record(typ, id, content, padding)
		return nil
	}
}

// Raw sends p as it is.
func Raw(p []byte) Step {
	return func(w *Wire) error {
		w.buf = append(w.buf, p...)
		return nil
	}
}

// InPieces splits the writes that follow into pieces of n bytes; 0 is one piece.
func InPieces(n int) Step {
	return func(w *Wire) error {
		w.max = n
		return nil
	}
}

// Flush sends the bytes of the steps before it.
func Flush() Step { return (*Wire).flush }

// Wait flushes, and waits until ch is closed or receives a value.
func Wait(ch <-chan struct{}) Step {
	return func(w *Wire) error {
		err := w.flush()
		<-ch
		return err
	}
}

// Sleep flushes, and sleeps for d, to be used with the fake clock of
// testing/synctest.
func Sleep(d time.Duration) Step {
	return func(w *Wire) error {
		err := w.flush()
		time.Sleep(d)
		return err
	}
}

// Stall flushes, and waits for the client to close the connection.
func Stall() Step {
	return func(w *Wire) error {
		if err := w.flush(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, w.conn); err != nil {
			return err
		}
		return errClosed
	}
}

// Close flushes, and closes the connection.
func Close() Step {
	return func(w *Wire) error {
		if err := w.flush(); err != nil {
			return err
		}
		return errClosed
	}
}

// Encode returns the bytes of a response to the request with this id. It must not
// have steps that wait or close.
func Encode(a Response, id uint16) []byte {
	w := &Wire{id: id}
	for _, step := range a {
		if err := step(w); err != nil {
			panic("bug: fastcgitest.Encode of a response that closes the connection")
		}
	}
	return w.buf
}

// send runs the steps.
func (a Response) send(conn net.Conn, id uint16) error {
	w := &Wire{conn: conn, id: id}
	for _, step := range a {
		if err := step(w); err != nil {
			return err
		}
	}
	return w.flush()
}

// flush sends the buffered bytes.
func (w *Wire) flush() error {
	if w.conn == nil {
		return nil // Encode keeps the bytes in the buffer
	}
	p := w.buf
	w.buf = nil
	for len(p) > 0 {
		n := len(p)
		if w.max > 0 {
			n = min(n, w.max)
		}
		if _, err := w.conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// record appends a record to the buffer.
func (w *Wire) record(typ uint8, id uint16, content string, padding int) {
	w.buf = append(w.buf, 1, typ)
	w.buf = binary.BigEndian.AppendUint16(w.buf, id)
	w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(len(content)))
	w.buf = append(w.buf, byte(padding), 0)
	w.buf = append(w.buf, content...)
	w.buf = append(w.buf, make([]byte, padding)...)
}
