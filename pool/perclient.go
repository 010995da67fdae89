package pool

import "net/netip"

// share is what one client has of the pool while MaxPerClient bounds it; the
// pool's mutex guards it. A pool without that bound has no shares.
type share struct {
	client netip.Addr
	// taken counts its requests that have a worker, also one that drains, or
	// stand in the pool's line; there are at most MaxPerClient of them.
	taken int
	// held are those that wait for one of these to end, outside the pool's line:
	// nobody stands behind them, and no worker is launched for them.
	held line
}

// claimLocked counts a request for its client: it may go on, or (held) has to
// wait for another one of the same client. A nil share is that of a client that
// is not bounded.
func (p *Pool) claimLocked(info *Info) (own *share, held bool, err error) {
	most := p.set.MaxPerClient
	if most == 0 || !info.Client.IsValid() {
		return nil, false, nil
	}
	own = p.shares[info.Client]
	if own == nil {
		own = &share{client: info.Client}
		if p.shares == nil {
			p.shares = map[netip.Addr]*share{}
		}
		p.shares[info.Client] = own
	}
	switch {
	case own.taken < most:
		own.taken++
		return own, false, nil
	case own.held.len < most:
		return own, true, nil
	}
	p.refused++
	return nil, false, ErrClientLimit
}

// leaveLocked takes back what claimLocked counted: the request has left the
// pool's line without a worker, or a worker has left the request.
func (p *Pool) leaveLocked(own *share) {
	if own == nil {
		return
	}
	own.taken--
	p.promoteLocked(own)
}

// promoteLocked lets those go on that were held and need not be any more: to an
// idle worker, or else in line. The caller sees to it that the pool grows.
func (p *Pool) promoteLocked(own *share) {
	most := p.set.MaxPerClient
	for own.held.first != nil && (most == 0 || own.taken < most) {
		wt := own.held.pop()
		p.held--
		own.taken++
		if n := len(p.idle); n > 0 {
			w := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.serveLocked(w, wt, p.clock())
			continue
		}
		p.line.push(wt)
	}
	if own.taken == 0 {
		delete(p.shares, own.client)
	}
}

// holdLocked lets a request wait for another one of its client to end.
func (p *Pool) holdLocked(wt *waiter) {
	wt.own.held.push(wt)
	p.held++
	p.lengthenLocked()
}

// refuseLocked tells a request that it gets no worker. It stands in no line any
// more.
func (p *Pool) refuseLocked(wt *waiter, err error) {
	wt.err = err
	wt.tell()
	p.leaveLocked(wt.own)
}
