package phpbin

import (
	"bufio"
	"os"
	"sync"
	"time"
)

const (
	// maxLine is how much of a line is handed on in one call.
	maxLine = 64 << 10

	// tailLines and tailBytes bound what is kept for an error message.
	tailLines = 20
	tailBytes = 4 << 10
)

// stderr reads what php-cgi writes on its process stderr, from its start to its
// end: with nobody reading, php-cgi blocks once the pipe is full.
type stderr struct {
	read, write *os.File
	sink        func(line string)
	ended       chan struct{}

	mu   sync.Mutex
	tail []string
}

// newStderr opens a pipe. It is a pipe of ours and not one of os/exec, whose
// Wait would wait for every program that a script leaves behind with it.
func newStderr(sink func(line string)) (*stderr, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &stderr{read: r, write: w, sink: sink, ended: make(chan struct{})}
	go s.run()
	return s, nil
}

func (s *stderr) run() {
	defer close(s.ended)
	lines := bufio.NewReaderSize(s.read, maxLine)
	for {
		line, err := lines.ReadSlice('\n') // a full buffer comes as it is, with ErrBufferFull
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

func (s *stderr) keep(line string) {
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

// last returns the last lines. What a process that has ended still left in the
// pipe is read within milliseconds; unless something else holds the other end,
// the reader then sees the end, which is worth that little wait.
func (s *stderr) last(wait time.Duration) []string {
	select {
	case <-s.ended:
	case <-time.After(wait):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tail...)
}

// started gives up our copy of the writing end, which php-cgi now has.
func (s *stderr) started() { _ = s.write.Close() }

// close stops reading. A program that outlived php-cgi with its stderr gets
// EPIPE from then on.
func (s *stderr) close() {
	_ = s.write.Close()
	// What is already in the pipe is still read, if its end is in sight.
	select {
	case <-s.ended:
	case <-time.After(10 * time.Millisecond):
	}
	_ = s.read.Close()
	<-s.ended
}

// serialize makes calls of sink come one at a time.
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
