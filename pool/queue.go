package pool

import "time"

// waiter is one request in line. Everything but done and timer belongs to the
// pool's mutex until done has spoken.
type waiter struct {
	info  Info
	own   *share // of its client; nil where that is not bounded
	lease Lease
	err   error
	done  chan struct{} // told once, with room for it
	timer *time.Timer   // of its patience; nil as long as it needed none

	prev, next *waiter
	in         *line // nil when it stands in none
}

// sparesMax is how many waiters are kept to be used again: with as many clients
// as ever, one leaves the line when the next one comes.
const sparesMax = 64

// waiterLocked makes a waiter, of a spare one if there is any.
func (p *Pool) waiterLocked(info *Info, own *share) *waiter {
	n := len(p.spares)
	if n == 0 {
		return &waiter{info: *info, own: own, done: make(chan struct{}, 1)}
	}
	wt := p.spares[n-1]
	p.spares = p.spares[:n-1]
	wt.info, wt.own = *info, own
	return wt
}

// spareLocked keeps a waiter that stands in no line, and is nobody's any more.
func (p *Pool) spareLocked(wt *waiter) {
	if len(p.spares) == sparesMax {
		return
	}
	select {
	case <-wt.done: // it was served while it left
	default:
	}
	*wt = waiter{done: wt.done, timer: wt.timer}
	p.spares = append(p.spares, wt)
}

// tell tells the request what became of it.
func (wt *waiter) tell() { wt.done <- struct{}{} }

// patience is what speaks when the waiter has waited for limit, which it never
// does if that is 0. Stop the timer, if there is one.
func (wt *waiter) patience(limit time.Duration) <-chan time.Time {
	switch {
	case limit <= 0:
		return nil
	case wt.timer == nil:
		wt.timer = time.NewTimer(limit)
	default:
		wt.timer.Reset(limit)
	}
	return wt.timer.C
}

// line is first come, first served; who leaves it is never served.
type line struct {
	first, last *waiter
	len         int
}

func (l *line) push(w *waiter) {
	w.in = l
	w.prev = l.last
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.len++
}

// pop takes the first in line, or nil.
func (l *line) pop() *waiter {
	w := l.first
	if w != nil {
		l.remove(w)
	}
	return w
}

// remove takes w out of the line and reports whether it still stood there.
func (l *line) remove(w *waiter) bool {
	if w.in != l {
		return false
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.prev, w.next, w.in = nil, nil, nil
	l.len--
	return true
}
