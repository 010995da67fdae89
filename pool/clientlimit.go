package pool

import "net/netip"

// clientLimit is what one client has of the pool while MaxPerClient bounds it; the
// pool's mutex guards it. A pool without that bound has no shares.
type clientLimit struct {
	client netip.Addr
	// active counts its requests that have a worker, also one that drains, or
	// stand in the pool's line; there are at most MaxPerClient of them.
	active int
	// deferred are those that wait for one of these to end, outside the pool's line:
	// nobody stands behind them, and no worker is launched for them.
	deferred waitQueue
}

// reserveLocked counts a request for its client: it may go on, or (held) has to
// wait for another one of the same client. A nil share is that of a client that
// is not bounded.
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

// unreserveLocked takes back what reserveLocked counted: the request has left the
// pool's line without a worker, or a worker has left the request.
func (p *Pool) unreserveLocked(cl *clientLimit) {
	if cl == nil {
		return
	}
	cl.active--
	p.admitDeferredLocked(cl)
}

// admitDeferredLocked lets those go on that were held and need not be any more: to an
// idle worker, or else in line. The caller sees to it that the pool grows.
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

// deferLocked lets a request wait for another one of its client to end.
func (p *Pool) deferLocked(wt *waiter) {
	wt.client.deferred.push(wt)
	p.deferred++
	p.recordQueueLengthLocked()
}
