package fastcgi

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Handler responds to requests that a [Server] has received.
type Handler interface {
	// ServeFastCGI responds to one request. When it returns, the request has ended:
	// r must not be used any more.
	ServeFastCGI(r *ServerRequest)
	// Limits returns the limits for connections and requests that begin now.
	Limits() Limits
	// Allows reports whether the address may send requests. It is called for each
	// new connection, and again when the server's handler has changed.
	Allows(remote net.Addr) bool
}

// Limits are limits of a [Server].
type Limits struct {
	// Connections is the number of connections that may be open at a time. If another
	// one arrives, the one that has been idle for the longest time is closed.
	Connections int
	// Timeout is how long a web server may send nothing in the middle of a request,
	// or read nothing of a response; 0 is no limit.
	Timeout time.Duration
}

// Server receives requests from web servers: it is the application's side of the
// protocol. It runs one request at a time on each connection.
type Server struct {
	handler atomic.Pointer[handlerRef]

	mu      sync.Mutex
	conns   map[*serverConn]struct{}
	closing atomic.Bool   // set with mu
	changed chan struct{} // receives when a connection has ended, and at Shutdown
	done    sync.WaitGroup

	sweeping atomic.Bool // see sweep
}

type handlerRef struct{ Handler }

// NewServer returns a server that passes its requests to h.
func NewServer(h Handler) *Server {
	s := &Server{conns: map[*serverConn]struct{}{}, changed: make(chan struct{}, 1)}
	s.SetHandler(h)
	return s
}

// SetHandler replaces the handler. Requests that have begun remain with the one
// before; all later ones, also on connections that exist already, go to h.
func (s *Server) SetHandler(h Handler) { s.handler.Store(&handlerRef{h}) }

// maxAcceptDelay limits how long Serve waits after an error of Accept, such as that
// of a process with too many open files.
const maxAcceptDelay = time.Second

// Serve accepts connections until the listener is closed.
func (s *Server) Serve(l net.Listener) {
	var delay time.Duration
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if s.closing.Load() {
				return
			}
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			time.Sleep(delay)
			continue
		}
		delay = 0
		if !s.waitForSpace() {
			nc.Close()
			return
		}
		s.start(nc)
	}
}

// start serves a connection in its own goroutine.
func (s *Server) start(nc net.Conn) {
	h := s.handler.Load()
	if !h.Allows(nc.RemoteAddr()) {
		nc.Close()
		return
	}
	c := newServerConn(s, nc, h)
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.done.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.done.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.notify()
	}()
}

// notify wakes waitForSpace.
func (s *Server) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// minIdle is how long a connection has to be idle before it is closed for another
// one: the web server may have just decided to use it.
const minIdle = time.Second

// waitForSpace waits until another connection may be served; if there are too many,
// it closes the one that has been idle for the longest time. It returns false if the
// server is closing.
func (s *Server) waitForSpace() bool {
	for {
		limit := s.handler.Load().Limits().Connections
		s.mu.Lock()
		if s.closing.Load() {
			s.mu.Unlock()
			return false
		}
		if len(s.conns) < limit {
			s.mu.Unlock()
			return true
		}
		var oldest *serverConn
		since := serverClock() - int64(minIdle)
		for c := range s.conns {
			if t := c.idleSince.Load(); t != 0 && t <= since {
				oldest, since = c, t
			}
		}
		s.mu.Unlock()
		if oldest != nil {
			oldest.closeIfIdle()
		}
		select {
		case <-s.changed:
		case <-time.After(minIdle / 4):
		}
	}
}

// Connections returns the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown closes idle connections at once and all others when their request has
// ended. It waits for that until ctx is done, and then returns the context's error.
// The caller closes the listener before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	for c := range s.conns {
		c.closeIfIdle()
	}
	s.mu.Unlock()
	s.notify()
	ended := make(chan struct{})
	go func() {
		s.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close closes all connections, whatever they are doing.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for c := range s.conns {
		c.nc.Close()
	}
}
