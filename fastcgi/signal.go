package fastcgi

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// Signals are how PHP functions that stock php-cgi does not have, such as
// fastcgi_finish_request, reach this package (see phpbin/runtime). php-cgi writes
// the text of error_log($text, 4) to STDERR, in order with STDOUT
// (sapi_cgi_log_message in php-src's sapi/cgi/cgi_main.c). Where the text is
//
//	<mark> <verb> <arguments>;
//
// up to the end of its line, with Request.SignalMark as mark, it is a signal:
//
//	finish 1          the response ends here; the script continues
//	finish 0          the same, but the header follows, with one byte of content
//	headers           the header follows, with one byte that is not content
//	early 103 <text>  an interim response; text is base64 of the header lines
//	opcache_reset     a worker script has called opcache_reset(), or runs without OPcache
//	input 9           the descriptor of php://input in a worker script: see workerInput
//	log 4 <text> <context>  an entry of frankenphp_log() with its level; text and
//	                  context, which is a JSON object, are base64
//
// The byte is there because php-cgi before PHP 8.4 sends a header only together
// with content.
type signals struct {
	mark    []byte
	held    []byte // the end of the text so far, which may begin a mark
	text    []byte // of the signal that is being received
	reading bool   // until the semicolon
	ignore  bool   // until the end of the line

	finishAtHead  bool      // it ends with its header, which has not been parsed yet
	dropAfterHead int       // bytes of content to drop after the header
	interim       []interim // received and not passed on yet
	opcacheReset  bool      // the worker needs another OPcache
	input         int       // the descriptor of php://input; 0 if it is not known
}

// maxSignal limits the text of a signal, in bytes. PHP sends no more than 8 KiB.
const maxSignal = 64 << 10

// interim is a response with a status of 1xx.
type interim struct {
	status int
	header http.Header
}

// writeStderr passes content of STDERR records on to the request's Stderr, without
// the signals in it.
func (s *stream) writeStderr(p []byte) {
	if s.signalMark == "" {
		s.log(p)
		return
	}
	if s.signals == nil {
		s.signals = &signals{mark: []byte(s.signalMark)}
	}
	g := s.signals
	for len(p) > 0 {
		switch {
		case g.ignore:
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				return
			}
			g.ignore = false
			p = p[i+1:]
		case g.reading:
			i := bytes.IndexByte(p, ';')
			if i < 0 {
				if g.text = append(g.text, p...); len(g.text) > maxSignal {
					g.reading, g.ignore, g.text = false, true, nil
				}
				return
			}
			s.signal(string(append(g.text, p[:i]...)))
			g.reading, g.ignore, g.text = false, true, nil
			p = p[i+1:]
		default:
			if len(g.held) > 0 {
				p = append(g.held, p...)
				g.held = nil
			}
			if i := bytes.Index(p, g.mark); i >= 0 {
				s.log(p[:i])
				g.reading = true
				p = p[i+len(g.mark):]
				continue
			}
			n := len(p) - partOf(g.mark, p)
			s.log(p[:n])
			g.held = append(g.held, p[n:]...)
			return
		}
	}
}

// partOf returns the length of the longest end of p that mark begins with.
func partOf(mark, p []byte) int {
	for n := min(len(mark)-1, len(p)); n > 0; n-- {
		if bytes.HasPrefix(mark, p[len(p)-n:]) {
			return n
		}
	}
	return 0
}

// log writes text to the request's Stderr.
func (s *stream) log(p []byte) {
	if len(p) > 0 && s.stderr != nil {
		_, _ = s.stderr.Write(p) // see Request.Stderr
	}
}

// endStderr is called when no more content of STDERR will arrive.
func (s *stream) endStderr() {
	if s.signals != nil {
		s.log(s.signals.held)
		s.signals.held = nil
	}
}

// signal handles the text of a signal. Unknown ones are ignored.
func (s *stream) signal(text string) {
	verb, args, _ := strings.Cut(strings.TrimPrefix(text, " "), " ")
	switch {
	case verb == "finish" && args != "0":
		s.finishContent()
	case verb == "opcache_reset":
		s.signals.opcacheReset = true
	case verb == "input":
		s.signals.input, _ = strconv.Atoi(args)
	case verb == "log":
		s.logEntry(args)
	case s.headDone:
		// The others are about a header that follows. An interim response would come
		// while the handler writes the final one, or after it has returned.
	case verb == "finish":
		s.signals.finishAtHead = true
	case verb == "headers":
		s.signals.dropAfterHead = 1
	case verb == "early":
		status, lines, _ := strings.Cut(args, " ")
		if r, ok := parseInterim(status, lines); ok {
			s.signals.interim = append(s.signals.interim, r)
		}
	}
}

// logEntry passes an entry of frankenphp_log() on to the request's Stderr, as text if that
// takes nothing else.
func (s *stream) logEntry(args string) {
	level, rest, _ := strings.Cut(args, " ")
	n, err := strconv.Atoi(level)
	encodedText, encodedContext, _ := strings.Cut(rest, " ")
	text, err1 := base64.StdEncoding.DecodeString(encodedText)
	context, err2 := base64.StdEncoding.DecodeString(encodedContext)
	if err != nil || err1 != nil || err2 != nil || s.stderr == nil {
		return
	}
	if h, ok := s.stderr.(LogHandler); ok {
		h.HandleLog(n, string(text), context)
		return
	}
	if len(context) > 0 {
		text = append(append(text, ' '), context...)
	}
	s.log(append(text, '\n'))
}

// headParsed is called when the header of the response has been skipped, before any of
// the content is used or limited.
func (s *stream) headParsed() {
	s.headDone = true
	if s.signals == nil {
		return
	}
	s.skip(s.dropped(s.buffered()))
	if s.signals.finishAtHead {
		s.take()
		s.finishContent() // the content that PHP has announced may be missing: as in php-fpm
	}
}

// dropped returns how many of the next n bytes of content are to be dropped, and counts
// them as dropped.
func (s *stream) dropped(n int) int {
	n = min(n, s.signals.dropAfterHead)
	s.signals.dropAfterHead -= n
	return n
}

// parseInterim parses an interim response. 101 is refused: it would change the
// protocol of the client's connection.
func parseInterim(status, encoded string) (interim, bool) {
	code, err := strconv.Atoi(status)
	if err != nil || code < 100 || code > 199 || code == http.StatusSwitchingProtocols {
		return interim{}, false
	}
	lines, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return interim{}, false
	}
	r := interim{status: code, header: http.Header{}}
	for line := range strings.Lines(string(lines)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if value = trimValue(value); ok && validName(name) && validValue(value) {
			r.header.Add(name, value)
		}
	}
	return r, true
}

// Running reports whether the script has completed the response and continues to
// run, as after fastcgi_finish_request: the body has an end, but the request has
// not. A worker script runs on until it is ready for the next request. From then on the request does not end when its context is done, and
// Body.Close waits for the script.
func (b *Body) Running() bool { return b.c != nil && b.stream.finished }

// TryEnd is Running after it has read what has arrived, without blocking. It reports
// whether the script has ended the request.
func (b *Body) TryEnd() bool {
	for b.Running() {
		if !b.poll() {
			return false
		}
	}
	return true
}

// handleSignals is called after bytes were decoded that may have had signals.
func (b *Body) handleSignals() {
	g := b.stream.signals
	for i := range g.interim {
		if b.onInterim != nil {
			b.onInterim.HandleInterim(g.interim[i].status, g.interim[i].header)
		}
	}
	g.interim = nil
}

// contentFinished is called when the content has ended. The client may leave now:
// net/http cancels the context when the handler returns.
func (b *Body) contentFinished() {
	b.watched.end()
	b.timeout = 0
}

// end returns the error with which the body ends, when its buffered content has
// been read, or nil if more content may come.
func (b *Body) end() error {
	if b.err == nil && b.stream.finished {
		return b.completionErr()
	}
	if b.err != nil {
		b.stream.free()
	}
	return b.err
}
