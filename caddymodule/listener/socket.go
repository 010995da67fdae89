package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// socket is a socket that is listened on. It outlives the configs that use it, so that
// a reload loses no connection: neither those that were accepted, which go on with the
// next config, nor those that wait to be.
type socket struct {
	address string
	net     net.Listener
	server  *fastcgi.Server
	users   []*Listener // of configs that have started, the oldest first; guarded by socketsMu
}

var (
	socketsMu sync.Mutex
	sockets   = map[string]*socket{} // by address
)

// Start listens. Requests go to l from now on, even if another config uses the same
// address.
func (l *Listener) Start(ctx context.Context) error {
	socketsMu.Lock()
	defer socketsMu.Unlock()
	key := l.address.String()
	s := sockets[key]
	if s == nil {
		var err error
		if s, err = l.listen(ctx, key); err != nil {
			return fmt.Errorf("fastcgi %s: %w", l.Listen, err)
		}
		sockets[key] = s
	}
	if err := l.setOwner(); err != nil {
		if len(s.users) == 0 {
			s.close()
		}
		return fmt.Errorf("fastcgi %s: %w", l.Listen, err)
	}
	s.users = append(s.users, l)
	if s.server == nil {
		s.server = fastcgi.NewServer(l)
		go s.server.Serve(s.net)
		l.logger.Info("listening for FastCGI", zap.String("address", key), zap.String("pool", l.pool.Name))
	} else {
		s.server.SetHandler(l)
	}
	return nil
}

// listen opens the socket.
func (l *Listener) listen(ctx context.Context, key string) (*socket, error) {
	address := l.address
	if address.IsUnixNetwork() {
		if err := checkUnused(address.Host); err != nil {
			return nil, err
		}
		// Until it has its owner, nobody else may connect.
		address.Host += "|0600"
	}
	value, err := address.Listen(ctx, 0, net.ListenConfig{})
	if err != nil {
		return nil, err
	}
	ln, ok := value.(net.Listener)
	if !ok {
		return nil, errors.New("this is not a stream socket")
	}
	return &socket{address: key, net: ln}, nil
}

// connectTimeout limits how long the check of a socket file takes.
const connectTimeout = time.Second

// checkUnused returns an error if another process listens on a Unix socket: Caddy would
// take its place silently. A file that nobody listens on any more is replaced.
func checkUnused(path string) error {
	if strings.HasPrefix(path, "@") {
		return nil // the system refuses a second one
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil // listening fails, or there is no such file
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket: remove it, or write another path", path)
	}
	conn, err := net.DialTimeout("unix", path, connectTimeout)
	if err != nil {
		return nil
	}
	conn.Close()
	return errors.New("another process listens on it, perhaps php-fpm: stop that first")
}

// setOwner sets the owner and the mode of a Unix socket.
func (l *Listener) setOwner() error {
	path := l.address.Host
	if !l.address.IsUnixNetwork() || strings.HasPrefix(path, "@") {
		return nil
	}
	if l.owner.set {
		// Another user who may write to the directory can replace the file by a symlink.
		if err := os.Lchown(path, l.owner.uid, l.owner.gid); err != nil {
			return fmt.Errorf("owner %s: %w", l.Owner, err)
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is not a socket any more: another process has replaced it", path)
	}
	return os.Chmod(path, os.FileMode(l.mode))
}

// Stop ends the use of the socket by l. If another config uses it, requests go to that
// one. Otherwise the socket is closed; requests that have begun are completed.
func (l *Listener) Stop() {
	socketsMu.Lock()
	key := l.address.String()
	s := sockets[key]
	if s == nil || !slices.Contains(s.users, l) {
		socketsMu.Unlock()
		return
	}
	s.users = slices.DeleteFunc(s.users, func(other *Listener) bool { return other == l })
	if n := len(s.users); n > 0 {
		next := s.users[n-1]
		s.server.SetHandler(next)
		if err := next.setOwner(); err != nil { // l may have changed it
			next.logger.Error("error setting the owner of a socket", zap.String("fastcgi", next.Listen), zap.Error(err))
		}
		socketsMu.Unlock()
		return
	}
	s.close()
	socketsMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), l.pool.StopTimeout()+stopGrace)
	stop := func() {
		defer cancel()
		if s.server.Shutdown(ctx) != nil {
			s.server.Close()
		}
	}
	if live.Exiting() {
		stop() // else the process would exit during responses
		return
	}
	go stop()
}

// stopGrace is the time for writing a response when the pool has been closed.
const stopGrace = time.Second

// close closes the socket. The caller holds socketsMu.
func (s *socket) close() {
	delete(sockets, s.address)
	s.net.Close()
}
