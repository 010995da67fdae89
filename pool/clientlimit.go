package pool

import "net/netip"

// clientLimit counts the requests of one client while MaxPerClient is set. The
// pool's mutex guards it. A pool without that limit has none.
type clientLimit struct {
	client netip.Addr
	// active counts the requests that have a worker (including one that drains)
	// or are in the pool's queue; at most MaxPerClient.
	active int
	// deferred holds the requests that wait until an active one ends. They are
	// not in the pool's queue: they block no other client, and no worker is
	// launched for them.
	deferred waitQueue
}

// reserveLocked counts a request as active for its client. If the client has
// MaxPerClient active requests, wait is true and the request is to be deferred;
// if it has as many deferred ones too, the error is ErrClientLimit. cl is nil if
// the client is not limited.
func (p *Pool) reserveLocked(info *Info) (cl *clientLimit, wait bool, err error) {
	limit := p.settings.MaxPerClient
	if limit == 0 || !info.Client.IsValid() {
		return nil, false, nil
	}
	cl = p.clients[info.Client]
	if cl == nil {
		cl = &clientLimit{client: info.Client}
		if p.clients == nil {
			p.clients = map[netip.Addr]*clientLimit{}
		}
		p.clients[info.Client] = cl
	}
	switch {
	case cl.active < limit:
		cl.active++
		return cl, false, nil
	case cl.deferred.len < limit:
		return cl, true, nil
	}
	p.rejections.ClientLimit++
	return nil, false, ErrClientLimit
}

// unreserveLocked undoes reserveLocked: the request has left the queue without a
// worker, or its worker is available again. cl may be nil.
func (p *Pool) unreserveLocked(cl *clientLimit) {
	if cl == nil {
		return
	}
	cl.active--
	p.admitDeferredLocked(cl)
}

// admitDeferredLocked activates as many deferred requests of a client as the
// limit allows: each gets an idle worker or enters the queue. The caller calls
// growLocked.
func (p *Pool) admitDeferredLocked(cl *clientLimit) {
	limit := p.settings.MaxPerClient
	for cl.deferred.first != nil && (limit == 0 || cl.active < limit) {
		wt := cl.deferred.pop()
		p.deferred--
		cl.active++
		if n := len(p.idle); n > 0 {
			w := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.handOffLocked(w, wt, p.clock())
			continue
		}
		p.queue.push(wt)
	}
	if cl.active == 0 {
		delete(p.clients, cl.client)
	}
}

// deferLocked makes a request wait until another one of its client ends.
func (p *Pool) deferLocked(wt *waiter) {
	wt.client.deferred.push(wt)
	p.deferred++
	p.recordQueueLengthLocked()
}
