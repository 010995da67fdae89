package phpbin

import (
	"context"
	"fmt"
	"net"
	"time"
)

const (
	// maxHandshakes is how often the handshake is tried if php-cgi accepts a
	// connection but fails to respond, as a child does that crashes at its start.
	maxHandshakes = 5

	minBackoff = 2 * time.Millisecond
	maxBackoff = 50 * time.Millisecond
)

// connect dials e until a php-cgi completes the handshake, and returns the
// connection and the process that responded. Dialing is retried until ctx ends: its
// errors are temporary (a full backlog, a php-cgi that does not listen yet, no free
// descriptor), or else the process exits, and then the caller cancels ctx.
func connect(ctx context.Context, e *endpoint, handshake func(context.Context, net.Conn) error) (net.Conn, *peer, error) {
	var b backoff
	for tries := 0; ; {
		conn, err := e.dial(ctx)
		if err == nil {
			var p *peer
			if p, err = runHandshake(ctx, conn, handshake); err == nil {
				return conn, p, nil
			}
			_ = conn.Close()
			tries++
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if tries == maxHandshakes {
			return nil, nil, fmt.Errorf("php-cgi accepted a connection but did not respond: %w", err)
		}
		if !b.wait(ctx) {
			return nil, nil, fmt.Errorf("%w (last error: %w)", context.Cause(ctx), err)
		}
	}
}

// runHandshake runs the handshake on conn, which fails when ctx ends.
func runHandshake(ctx context.Context, conn net.Conn, handshake func(context.Context, net.Conn) error) (*peer, error) {
	identified, p, err := withPeerCredentials(conn)
	if err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	err = handshake(ctx, identified)
	if !stop() {
		<-interrupted
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	if err == nil {
		_ = conn.SetDeadline(time.Time{}) // the handshake may have set one
		err = p.finish()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// backoff is a delay that doubles from minBackoff to maxBackoff.
type backoff struct {
	next time.Duration
}

// wait returns false if ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(maxBackoff, max(minBackoff, 2*b.next))
	select {
	case <-ctx.Done():
		return false
	case <-time.After(b.next):
		return true
	}
}
