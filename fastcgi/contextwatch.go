package fastcgi

import (
	"context"
	"sync"
)

// watch stops a use of a connection when a context is done. The zero value watches
// nothing.
type watch struct {
	later  context.Context //nolint:containedctx // not watched yet: see start
	stop   func() bool     // of context.AfterFunc
	client *clientContext  // watched without it
	conn   *Conn
	useID  uint64
}

// watchContext returns what makes c.canceler stop the use with this id when ctx is done.
// Unless start is called, it may not do so.
func (c *Conn) watchContext(ctx context.Context, useID uint64) watch {
	if client, ok := ctx.(*clientContext); ok {
		client.watch(c, useID)
		return watch{client: client, conn: c}
	}
	return watch{later: ctx, conn: c, useID: useID}
}

// start begins to watch the context. It is left out for the wait for a response that
// arrives soon, because it takes four allocations and a fiftieth of the CPU time of an
// empty script.
func (x *watch) start() {
	if x.later == nil {
		return
	}
	ctx, c, useID := x.later, x.conn, x.useID
	x.later = nil
	if ctx.Done() != nil {
		x.stop = context.AfterFunc(ctx, func() { c.canceler.stop(useID, contextError(ctx), false) })
	}
}

// started reports whether start has nothing to do any more.
func (x *watch) started() bool { return x.later == nil }

// end ends the watching. It may be called again.
func (x *watch) end() {
	if x.stop != nil {
		x.stop()
	}
	if x.client != nil {
		x.client.unwatch(x.conn)
	}
	*x = watch{}
}

// clientContext is the context of the requests of a web server's connection. One Conn
// at a time can watch it without an allocation: context.AfterFunc takes four.
type clientContext struct {
	context.Context //nolint:containedctx // it is one

	cancelCause context.CancelCauseFunc

	mu    sync.Mutex
	conn  *Conn // that runs the request; nil if none does
	useID uint64
}

func newClientContext() *clientContext {
	x := new(clientContext)
	x.Context, x.cancelCause = context.WithCancelCause(context.Background())
	return x
}

// cancel ends the context.
func (x *clientContext) cancel(cause error) {
	x.cancelCause(cause)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopLocked()
}

// stopLocked stops the request that is running.
func (x *clientContext) stopLocked() {
	if x.conn != nil {
		x.conn.canceler.stop(x.useID, contextError(x), false)
		x.conn = nil
	}
}

func (x *clientContext) watch(c *Conn, useID uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conn, x.useID = c, useID
	if x.Err() != nil {
		x.stopLocked()
	}
}

func (x *clientContext) unwatch(c *Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn == c {
		x.conn = nil
	}
}
