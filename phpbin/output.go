package phpbin

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxEntry is the maximum number of bytes of an entry.
	maxEntry = 64 << 10
	// entryPause is how long the end of an entry without a newline is waited for.
	entryPause = 100 * time.Millisecond
	// tailLines and tailBytes (per line) limit what is kept for error messages.
	tailLines = 20
	tailBytes = 4 << 10
)

// Output is an entry that php-cgi, or a program that a script has started, wrote to
// its stdout or stderr.
type Output struct {
	// Text is a line, without its end; or what was written without one, when 100 ms
	// have passed. On Linux two writes without a newline are two entries, unless the
	// first ends with a space or the second begins with the newline, or a program has
	// opened /dev/stdout or /dev/stderr for one of them. An entry longer than 64 KiB is
	// split.
	Text string
	// Stdout reports which of the two it was.
	Stdout bool
	// PID is the process of the worker; 0 if unknown. A master and its children
	// write to one pipe, which does not show the writer.
	PID int
}

// outputReader reads what a php-cgi and the programs of its scripts write, until the
// last of them has exited. If it did not read, they would block when the pipe is full.
type outputReader struct {
	read, write *os.File
	packets     bool // a read returns what one write has written, at most packetSize
	sink        func(text string)
	done        chan struct{} // closed at EOF

	pending []byte // of an entry whose end is missing
	joins   bool   // the next write belongs to pending

	mu   sync.Mutex
	tail []string
}

// newOutputReader opens a pipe. It is not one of os/exec, because Wait would then
// wait for every program that a script leaves behind with the pipe open.
//
// A pipe and not a socket, although a socket would show which process wrote
// (SCM_CREDENTIALS): nothing can open a socket by the path /dev/stderr.
func newOutputReader(otherUser bool, sink func(text string)) (*outputReader, error) {
	r, w, packets, err := outputPipe()
	if err != nil {
		return nil, err
	}
	if otherUser {
		_ = w.Chmod(0o622) // for those who open /dev/stderr; where the system can
	}
	s := &outputReader{read: r, write: w, packets: packets, sink: sink, done: make(chan struct{})}
	go s.run()
	return s, nil
}

func (s *outputReader) run() {
	defer close(s.done)
	defer s.read.Close()
	buffer := make([]byte, 2*packetSize)
	timed := false
	for {
		if timed || len(s.pending) > 0 {
			var deadline time.Time // none
			if timed = len(s.pending) > 0; timed {
				deadline = time.Now().Add(entryPause)
			}
			_ = s.read.SetReadDeadline(deadline)
		}
		n, err := s.read.Read(buffer)
		s.add(buffer[:n])
		if err != nil {
			s.flush()
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
}

// add splits what was read into entries.
func (s *outputReader) add(data []byte) {
	if len(data) == 0 {
		return
	}
	if s.packets && !s.joins && data[0] != '\n' && data[0] != '\r' {
		s.flush() // another write, perhaps of another process
	}
	full := len(data) == packetSize // the kernel splits longer writes
	for {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		if n := maxEntry - len(s.pending); len(line) > n {
			line, rest, ended = data[:n], data[n:], true
		}
		s.pending = append(s.pending, line...)
		if !ended {
			break
		}
		s.flush()
		data = rest
	}
	// Programs that do not buffer write a line in parts, as OPcache writes its log.
	n := len(s.pending)
	s.joins = full || n > 0 && (s.pending[n-1] == ' ' || s.pending[n-1] == '\t')
}

// flush ends the pending entry.
func (s *outputReader) flush() {
	text := string(bytes.TrimSuffix(s.pending, []byte{'\r'}))
	if s.pending = s.pending[:0]; cap(s.pending) > 2*packetSize {
		s.pending = nil
	}
	s.joins = false
	if text == "" {
		return
	}
	s.keep(text)
	if s.sink != nil {
		s.sink(text)
	}
}

func (s *outputReader) keep(line string) {
	if len(line) > tailBytes {
		line = line[:tailBytes]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, line)
	if n := len(s.tail) - tailLines; n > 0 {
		s.tail = append(s.tail[:0], s.tail[n:]...)
	}
}

// last returns the last entries. After an exit, what is left in the pipe is read within
// milliseconds, and then EOF, unless another program has the pipe open: last waits
// for EOF at most for the given time.
func (s *outputReader) last(wait time.Duration) []string {
	select {
	case <-s.done:
	case <-time.After(wait):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tail...)
}

// started closes our copy of the write end, which php-cgi has inherited.
func (s *outputReader) started() { _ = s.write.Close() }

// close stops reading. Programs that outlive php-cgi with its pipe get EPIPE.
func (s *outputReader) close() {
	_ = s.write.Close()
	// Read what is in the pipe, unless EOF takes longer.
	select {
	case <-s.done:
	case <-time.After(10 * time.Millisecond):
	}
	_ = s.read.Close()
	<-s.done
}

// outputs are the readers of a php-cgi's stdout and stderr.
type outputs struct {
	stdout, stderr *outputReader
	pid            atomic.Int64 // Output.PID
}

// newOutputs opens the pipes of a php-cgi. Calls of o.Output must be serialized.
func newOutputs(o Options) (*outputs, error) {
	out := &outputs{}
	sink := func(stdout bool) func(string) {
		if o.Output == nil {
			return nil
		}
		return func(text string) { o.Output(Output{Text: text, Stdout: stdout, PID: int(out.pid.Load())}) }
	}
	var err error
	if out.stderr, err = newOutputReader(o.Credential != nil, sink(false)); err != nil {
		return nil, err
	}
	if out.stdout, err = newOutputReader(o.Credential != nil, sink(true)); err != nil {
		out.stderr.close()
		return nil, err
	}
	return out, nil
}

// started closes our copies of the write ends.
func (o *outputs) started() {
	o.stdout.started()
	o.stderr.started()
}

// ended reports whether nobody has the pipes open for writing.
func (o *outputs) ended() bool {
	for _, r := range []*outputReader{o.stdout, o.stderr} {
		select {
		case <-r.done:
		default:
			return false
		}
	}
	return true
}

// close stops reading.
func (o *outputs) close() {
	o.stdout.close()
	o.stderr.close()
}

// serialize returns a function that calls sink one call at a time.
func serialize(sink func(Output)) func(Output) {
	if sink == nil {
		return nil
	}
	var mu sync.Mutex
	return func(o Output) {
		mu.Lock()
		defer mu.Unlock()
		sink(o)
	}
}
