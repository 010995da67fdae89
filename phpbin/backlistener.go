package phpbin

import (
	"crypto/rand"
	"net"
	"sync"
	"time"
)

// backListener accepts the connection of one worker script.
type backListener struct {
	net.Listener
	address string
	nonce   string

	mu          sync.Mutex
	interrupted bool
	conn        net.Conn // the connection that is being checked, or was accepted
}

// newBackListener listens for a script in a php-cgi of g.
func newBackListener(g *group, number int) (*backListener, error) {
	l := &backListener{nonce: rand.Text()}
	return l, l.listen(g, number)
}

func (l *backListener) connection() BackConnection {
	return BackConnection{Address: l.address, Nonce: l.nonce}
}

// accept returns the connection of the process pid that knows the nonce. Any process of
// php-cgi's user can connect; other connections are closed. greet reads the nonce.
func (l *backListener) accept(pid int, greet func(conn net.Conn, nonce string) error) (net.Conn, error) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		if peer := peerPID(conn); peer != 0 && peer != pid || !l.check(conn) {
			_ = conn.Close()
			continue
		}
		err = greet(conn, l.nonce)
		if err == nil && l.checked() {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// check begins to check conn.
func (l *backListener) check(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted {
		return false
	}
	l.conn = conn
	_ = conn.SetDeadline(time.Now().Add(greetTimeout))
	return true
}

// checked removes the deadline of check.
func (l *backListener) checked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted {
		return false
	}
	return l.conn.SetDeadline(time.Time{}) == nil
}

// interrupt makes accept return, and reads of the connection that it has returned.
func (l *backListener) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = true
	_ = l.Close()
	if l.conn != nil {
		_ = l.conn.SetDeadline(time.Unix(1, 0))
	}
}

// close closes the listener, but not the connection that was accepted.
func (l *backListener) close() {
	if l.Listener != nil {
		_ = l.Close()
	}
}
