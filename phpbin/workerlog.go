package phpbin

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// maxWorkerText is how much of the log of one request is kept, in bytes. What is beyond
// that goes to Options.Output.
const maxWorkerText = 1 << 20

// WorkerLog receives PHP's error log of one worker script. php-cgi would send it over the
// connection of the script's request, but keeps it in a buffer of 8 KiB until there is
// more or the request ends (fcgi_write in main/fastcgi.c). So PHP's error_log is a FIFO,
// where the system has one, unless the user has set error_log.
//
// It implements fastcgi.WorkerLog: what arrives during a request belongs to it, and
// everything else goes to Options.Output.
type WorkerLog struct {
	file *os.File // nil: none
	rc   syscall.RawConn
	name string
	sink func(line string)
	done chan struct{}

	readNow func(fd uintptr) // receiveLocked, once for all calls
	used    bool             // by a request, of which there is one at a time

	mu      sync.Mutex
	request bool   // a request runs
	text    []byte // of the request
	line    []byte // the beginning of a line
	tail    []string
	buf     [4 << 10]byte
}

// newWorkerLog opens the log of script number, which runs in the process pid.
func newWorkerLog(g *group, number, pid int) (*WorkerLog, error) {
	l := &WorkerLog{done: make(chan struct{})}
	if output := g.opts.Output; output != nil {
		l.sink = func(line string) { output(Output{Text: line, PID: pid}) }
	}
	if err := l.open(g, number); err != nil {
		return nil, err
	}
	if l.file == nil {
		close(l.done)
		return l, nil
	}
	l.readNow = func(fd uintptr) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.receiveLocked(int(fd))
	}
	go func() {
		defer close(l.done)
		// Reads whenever something has arrived, until the file is closed.
		_ = l.rc.Read(func(fd uintptr) bool {
			l.readNow(fd)
			return false
		})
	}()
	return l, nil
}

func (l *WorkerLog) path() string { return l.name }

// BeginRequest makes what arrives from now on belong to a request. Before the first
// one it reads what the script has written when it started.
func (l *WorkerLog) BeginRequest() {
	if l.file == nil {
		return
	}
	if !l.used {
		_ = l.rc.Control(l.readNow) // fails if the script has ended
		l.used = true
	}
	l.mu.Lock()
	l.request = true
	l.mu.Unlock()
}

// EndRequest writes what has arrived since BeginRequest to dst; to Options.Output if dst
// is nil. It reads what PHP has written, which takes a system call.
func (l *WorkerLog) EndRequest(dst io.Writer) {
	if l.file == nil {
		return
	}
	_ = l.rc.Control(l.readNow) // fails if the script has ended, when all has been read
	l.mu.Lock()
	text := l.text
	l.text, l.request = nil, false
	l.mu.Unlock()
	if len(text) == 0 {
		return
	}
	if dst != nil {
		_, _ = dst.Write(text)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		l.outputLocked(line)
	}
}

// receiveLocked reads what has arrived.
func (l *WorkerLog) receiveLocked(fd int) {
	for {
		n := readFIFO(fd, l.buf[:])
		if n <= 0 {
			return
		}
		data := l.buf[:n]
		for len(data) > 0 {
			part, rest, ended := bytes.Cut(data, []byte{'\n'})
			l.line = append(l.line, part...)
			data = rest
			if ended || len(l.line) > maxEntry {
				l.lineLocked()
			}
		}
	}
}

// lineLocked handles the line that has arrived.
func (l *WorkerLog) lineLocked() {
	line := withoutDate(string(l.line))
	l.line = l.line[:0]
	l.tail = append(l.tail, line[:min(len(line), tailBytes)])
	if n := len(l.tail) - tailLines; n > 0 {
		l.tail = append(l.tail[:0], l.tail[n:]...)
	}
	if l.request && len(l.text)+len(line) < maxWorkerText {
		l.text = append(append(l.text, line...), '\n')
		return
	}
	l.outputLocked(line)
}

func (l *WorkerLog) outputLocked(line string) {
	if line = strings.TrimRight(line, "\r\n"); line != "" && l.sink != nil {
		l.sink(line)
	}
}

// withoutDate removes the date that PHP writes before a message that goes to a file, as
// in "[28-Nov-2026 10:00:00 UTC] PHP Warning: …" (php_log_err_with_severity in
// main/main.c), and not before one that goes to the web server.
func withoutDate(line string) string {
	if len(line) < len("[28-Nov-2026 10:00:00 ") || line[0] != '[' || line[3] != '-' || line[7] != '-' || line[15] != ':' {
		return line
	}
	if _, rest, ok := strings.Cut(line, "] "); ok {
		return rest
	}
	return line
}

// last returns the last lines.
func (l *WorkerLog) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.tail...)
}

// close reads the rest and removes the file. It may be called twice.
func (l *WorkerLog) close() {
	if l.file == nil {
		return
	}
	_ = l.rc.Control(l.readNow)
	l.mu.Lock()
	if len(l.line) > 0 {
		l.lineLocked()
	}
	l.mu.Unlock()
	_ = l.file.Close()
	<-l.done
	_ = os.Remove(l.name)
}
