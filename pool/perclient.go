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
func (p *Pool) reserveLocked(info *Info) (own *clientLimit, held bool, err error) {
	most := p.set.MaxPerClient
	if most == 0 || !info.Client.IsValid() {
		return nil, false, nil
	}
	own = p.shares[info.Client]
	if own == nil {
		own = &clientLimit{client: info.Client}
		if p.shares == nil {
			p.shares = map[netip.Addr]*clientLimit{}
		}
		p.shares[info.Client] = own
	}
	switch {
	case own.active < most:
		own.active++
		return own, false, nil
	case own.deferred.len < most:
		return own, true, nil
	}
	p.rejections.ClientLimit++
	return nil, false, ErrClientLimit
}

// unreserveLocked takes back what reserveLocked counted: the request has left the
// pool's line without a worker, or a worker has left the request.
func (p *Pool) unreserveLocked(own *clientLimit) {
	if own == nil {
		return
	}
	own.active--
	p.admitDeferredLocked(own)
}

// admitDeferredLocked lets those go on that were held and need not be any more: to an
// idle worker, or else in line. The caller sees to it that the pool grows.
func (p *Pool) admitDeferredLocked(own *clientLimit) {
	most := p.set.MaxPerClient
	for own.deferred.first != nil && (most == 0 || own.active < most) {
		wt := own.deferred.pop()
		p.deferred--
		own.active++
		if n := len(p.idle); n > 0 {
			w := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.handOffLocked(w, wt, p.clock())
			continue
		}
		p.queue.push(wt)
	}
	if own.active == 0 {
		delete(p.shares, own.client)
	}
}

// deferLocked lets a request wait for another one of its client to end.
func (p *Pool) deferLocked(wt *waiter) {
	wt.client.deferred.push(wt)
	p.deferred++
	p.recordQueueLengthLocked()
}

// rejectWaitersLocked tells a request that it gets no worker. It stands in no line any
// more.
func (p *Pool) rejectWaitersLocked(wt *waiter, err error) {
	wt.err = err
	wt.notify()
	p.unreserveLocked(wt.client)
}
