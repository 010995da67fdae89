package fastcgitest

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Answer is what the responder does with a request, step by step. Bytes of
// consecutive steps go out in one write, as far as no step waits.
type Answer []Step

// Step is one step of an [Answer].
type Step func(*Wire) error

// Wire is where the steps of an answer write to.
type Wire struct {
	conn net.Conn
	id   uint16
	buf  []byte
	max  int // the size of a write; 0 is any
}

// OK is a complete answer: 200, text/plain, and the body.
func OK(body string) Answer {
	return Reply("Content-Type: text/plain\r\n\r\n" + body)
}

// Reply is a complete answer of this CGI output.
func Reply(output string) Answer { return Answer{Stdout(output), End()} }

// Stdout is STDOUT, in as many records as it takes.
func Stdout(s string) Step { return content(TypeStdout, s) }

// Stderr is STDERR, in as many records as it takes.
func Stderr(s string) Step { return content(TypeStderr, s) }

// content makes records as php-cgi does: padded to a multiple of 8.
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

// End is END_REQUEST as php-cgi sends it, whatever became of the script.
func End() Step { return EndStatus(0, 0) }

// EndStatus is END_REQUEST with another status.
func EndStatus(app uint32, protocol uint8) Step {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], app)
	b[4] = protocol
	return func(w *Wire) error {
		w.record(TypeEndRequest, w.id, string(b[:]), 0)
		return nil
	}
}

// Values is a GET_VALUES_RESULT of these names and values, which are short.
func Values(pairs ...string) Step {
	var s []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		s = append(s, byte(len(pairs[i])), byte(len(pairs[i+1])))
		s = append(s, pairs[i]...)
		s = append(s, pairs[i+1]...)
	}
	return Record(TypeGetValuesResult, 0, string(s), -len(s)&7)
}

// Record is any record.
func Record(typ uint8, id uint16, content string, padding int) Step {
	return func(w *Wire) error {
		w.record(typ, id, content, padding)
		return nil
	}
}

// Raw is any bytes.
func Raw(p []byte) Step {
	return func(w *Wire) error {
		w.buf = append(w.buf, p...)
		return nil
	}
}

// InPieces makes all writes that follow n bytes long.
func InPieces(n int) Step {
	return func(w *Wire) error {
		w.max = n
		return nil
	}
}

// Flush writes what the steps before have produced.
func Flush() Step { return (*Wire).flush }

// Wait flushes, and waits until ch is closed or has a value.
func Wait(ch <-chan struct{}) Step {
	return func(w *Wire) error {
		err := w.flush()
		<-ch
		return err
	}
}

// Sleep flushes, and sleeps: for the fake clock of testing/synctest.
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

// Encode returns the bytes of an answer to a request of this id. Steps that
// wait or close must not be in it.
func Encode(a Answer, id uint16) []byte {
	w := &Wire{id: id}
	for _, step := range a {
		if err := step(w); err != nil {
			panic("bug: fastcgitest.Encode of an answer that closes the connection")
		}
	}
	return w.buf
}

// send carries the answer out.
func (a Answer) send(conn net.Conn, id uint16) error {
	w := &Wire{conn: conn, id: id}
	for _, step := range a {
		if err := step(w); err != nil {
			return err
		}
	}
	return w.flush()
}

func (w *Wire) flush() error {
	if w.conn == nil {
		return nil // Encode only collects
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

func (w *Wire) record(typ uint8, id uint16, content string, padding int) {
	w.buf = append(w.buf, 1, typ)
	w.buf = binary.BigEndian.AppendUint16(w.buf, id)
	w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(len(content)))
	w.buf = append(w.buf, byte(padding), 0)
	w.buf = append(w.buf, content...)
	w.buf = append(w.buf, make([]byte, padding)...)
}
