package phpbin

import (
	"bufio"
	"os"
	"sync"
	"time"
)

const (
	// maxLine is the maximum number of bytes of a line per call.
	maxLine = 64 << 10

	// tailLines and tailBytes (per line) limit what is kept for error messages.
	tailLines = 20
	tailBytes = 4 << 10
)

// stderrReader reads the stderr of a php-cgi from its start to its exit. If it did
// not read, php-cgi would block when the pipe is full.
type stderrReader struct {
	read, write *os.File
	sink        func(line string)
	done        chan struct{} // closed at EOF

	mu   sync.Mutex
	tail []string
}

// newStderrReader opens a pipe. It is not one of os/exec, because Wait would then
// wait for every program that a script leaves behind with the pipe open.
func newStderrReader(sink func(line string)) (*stderrReader, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &stderrReader{read: r, write: w, sink: sink, done: make(chan struct{})}
	go s.run()
	return s, nil
}

func (s *stderrReader) run() {
	defer close(s.done)
	lines := bufio.NewReaderSize(s.read, maxLine)
	for {
		line, err := lines.ReadSlice('\n') // returns a full buffer with ErrBufferFull
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			s.keep(string(line))
			if s.sink != nil {
				s.sink(string(line))
			}
		}
		if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // ReadSlice returns it unwrapped
			return
		}
	}
}

func (s *stderrReader) keep(line string) {
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

// last returns the last lines. After an exit, what is left in the pipe is read within
// milliseconds, and then EOF, unless another program has the pipe open: last waits
// for EOF at most for the given time.
func (s *stderrReader) last(wait time.Duration) []string {
	select {
	case <-s.done:
	case <-time.After(wait):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tail...)
}

// started closes our copy of the write end, which php-cgi has inherited.
func (s *stderrReader) started() { _ = s.write.Close() }

// close stops reading. Programs that outlive php-cgi with its stderr get EPIPE.
func (s *stderrReader) close() {
	_ = s.write.Close()
	// Read what is in the pipe, unless EOF takes longer.
	select {
	case <-s.done:
	case <-time.After(10 * time.Millisecond):
	}
	_ = s.read.Close()
	<-s.done
}

// serialize returns a function that calls sink one call at a time.
func serialize(sink func(string)) func(string) {
	if sink == nil {
		return nil
	}
	var mu sync.Mutex
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		sink(line)
	}
}
