package pool

import "time"

// waiter is one request in line. Everything but done and timer belongs to the
// pool's mutex until done has spoken.
type waiter struct {
	info   Info
	client *clientLimit // of its client; nil where that is not bounded
	lease  Lease
	err    error
	done   chan struct{} // told once, with room for it
	timer  *time.Timer   // of its patience; nil as long as it needed none

	prev, next *waiter
	queue      *waitQueue // nil when it stands in none
}

// maxFreeWaiters is how many waiters are kept to be used again: with as many clients
// as ever, one leaves the line when the next one comes.
const maxFreeWaiters = 64

// getWaiterLocked makes a waiter, of a spare one if there is any.
func (p *Pool) getWaiterLocked(info *Info, cl *clientLimit) *waiter {
	n := len(p.freeWaiters)
	if n == 0 {
		return &waiter{info: *info, client: cl, done: make(chan struct{}, 1)}
	}
	wt := p.freeWaiters[n-1]
	p.freeWaiters = p.freeWaiters[:n-1]
	wt.info, wt.client = *info, cl
	return wt
}

// putWaiterLocked keeps a waiter that stands in no line, and is nobody's any more.
func (p *Pool) putWaiterLocked(wt *waiter) {
	if len(p.freeWaiters) == maxFreeWaiters {
		return
	}
	select {
	case <-wt.done: // it was served while it left
	default:
	}
	*wt = waiter{done: wt.done, timer: wt.timer}
	p.freeWaiters = append(p.freeWaiters, wt)
}

// notify tells the request what became of it.
func (wt *waiter) notify() { wt.done <- struct{}{} }

// timeout is what speaks when the waiter has waited for limit, which it never
// does if that is 0. Stop the timer, if there is one.
func (wt *waiter) timeout(limit time.Duration) <-chan time.Time {
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

// queue is first come, first served; who leaves it is never served.
type waitQueue struct {
	first, last *waiter
	len         int
}

func (l *waitQueue) push(w *waiter) {
	w.queue = l
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
func (l *waitQueue) pop() *waiter {
	w := l.first
	if w != nil {
		l.remove(w)
	}
	return w
}

// remove takes w out of the line and reports whether it still stood there.
func (l *waitQueue) remove(w *waiter) bool {
	if w.queue != l {
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
	w.prev, w.next, w.queue = nil, nil, nil
	l.len--
	return true
}
