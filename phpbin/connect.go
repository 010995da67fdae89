package phpbin

import (
	"context"
	"fmt"
	"net"
	"time"
)

const (
	// A php-cgi that ends while it answers (a child that crashes as it starts)
	// is tried again, but not for ever.
	maxHandshakes = 5

	minBackoff = 2 * time.Millisecond
	maxBackoff = 50 * time.Millisecond
)

// connect dials e until a php-cgi answers the handshake, and says who did.
// Dialing is repeated as long as ctx allows: what keeps it from working (a full
// backlog, a php-cgi that does not listen yet, no free descriptor) passes, or
// else the process ends, which the caller sees and ends ctx.
func connect(ctx context.Context, e *endpoint, handshake func(context.Context, net.Conn) error) (net.Conn, *peer, error) {
	var b backoff
	for tries := 0; ; {
		conn, err := e.dial(ctx)
		if err == nil {
			var who *peer
			if who, err = runHandshake(ctx, conn, handshake); err == nil {
				return conn, who, nil
			}
			_ = conn.Close()
			tries++
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if tries == maxHandshakes {
			return nil, nil, fmt.Errorf("php-cgi accepted a connection but did not answer on it: %w", err)
		}
		if !b.wait(ctx) {
			return nil, nil, fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		}
	}
}

// shake runs the handshake on conn and holds it to ctx.
func runHandshake(ctx context.Context, conn net.Conn, handshake func(context.Context, net.Conn) error) (*peer, error) {
	ask, who, err := withPeerCredentials(conn)
	if err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	err = handshake(ctx, ask)
	if !stop() {
		<-interrupted
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	if err == nil {
		_ = conn.SetDeadline(time.Time{}) // the handshake may have set one of its own
		err = who.finish()
	}
	if err != nil {
		who.close()
		return nil, err
	}
	return who, nil
}

// pause is a short wait that gets longer.
type backoff struct {
	next time.Duration
}

// wait returns false when ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(maxBackoff, max(minBackoff, 2*b.next))
	select {
	case <-ctx.Done():
		return false
	case <-time.After(b.next):
		return true
	}
}
