package pool

import (
	"context"
	"time"
)

// Acquire leases the idle worker used last; else it waits in line, first come,
// first served, while one is launched or becomes free. info is what the
// request shows in logs and statistics.
func (p *Pool) Acquire(ctx context.Context, info Info) (Lease, error) {
	for {
		lease, err := p.acquire(ctx, info)
		if err != nil {
			return Lease{}, err
		}
		// The connection may have ended, or hold bytes nobody asked for (a
		// script that forked), since it was last used.
		if lease.w.conn.Check() == nil {
			return lease, nil
		}
		lease.discard(Crashed)
	}
}

func (p *Pool) acquire(ctx context.Context, info Info) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return Lease{}, context.Cause(ctx)
	}
	now := p.clock()
	p.mu.Lock()
	cl, deferred, err := p.reserveLocked(&info)
	if err != nil {
		p.mu.Unlock()
		return Lease{}, err
	}
	if n := len(p.idle); n > 0 && !deferred && !p.closed {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.times.Wait.add(0)
		lease := p.leaseLocked(w, &info, cl, now)
		p.mu.Unlock()
		return lease, nil
	}
	wt := p.getWaiterLocked(&info, cl)
	maxWait, err := p.enqueueLocked(wt, deferred)
	if err != nil {
		p.putWaiterLocked(wt)
		if !deferred {
			p.unreserveLocked(cl)
		}
	}
	p.mu.Unlock()
	if err != nil {
		return Lease{}, err
	}
	return p.await(ctx, wt, now, maxWait)
}

// enqueueLocked puts a request in line, if the line has room for it, or where
// it is held, and returns how long it may wait there.
func (p *Pool) enqueueLocked(wt *waiter, deferred bool) (time.Duration, error) {
	if p.closed {
		return 0, ErrClosed
	}
	maxWait := p.settings.QueueTimeout
	if !p.opened {
		maxWait = p.settings.StartTimeout
	} else if c := p.countsLocked(); c.total() == 0 && p.failures.err != nil {
		if wait := p.failures.wait(time.Now()); wait > 0 {
			return 0, &LaunchError{Err: p.failures.err, RetryIn: wait}
		}
	}
	if m := wt.info.MaxWait; m > 0 && (maxWait == 0 || m < maxWait) {
		maxWait = m
	}
	if deferred {
		p.deferLocked(wt)
		return maxWait, nil
	}
	p.queue.push(wt)
	p.growLocked()
	// Those for whom a worker is under way, or a whole generation, are not
	// waiting in the sense of MaxQueue.
	served := p.starting + p.internalLeases
	if p.startPending || !p.opened {
		served += p.settings.MaxWorkers
	}
	if p.queue.len > p.settings.MaxQueue+served {
		p.queue.remove(wt)
		p.rejections.QueueFull++
		return 0, ErrQueueFull
	}
	if c := p.countsLocked(); c.waiting > 0 && c.total() >= p.settings.MaxWorkers {
		p.maxReached++
	}
	p.recordQueueLengthLocked()
	return maxWait, nil
}

// await waits for a place in line, taken at began, to become a lease.
func (p *Pool) await(ctx context.Context, wt *waiter, start, maxWait time.Duration) (Lease, error) {
	expired := wt.timeout(maxWait)
	var err error
	select {
	case <-wt.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-expired:
		err = ErrQueueTimeout
	}
	if expired != nil {
		wt.timer.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.putWaiterLocked(wt)
	p.times.Wait.add(p.clock() - start)
	if err == nil {
		return wt.lease, wt.err
	}
	p.abandonWaiterLocked(wt)
	return Lease{}, err
}

// abandonWaiterLocked is the end of a waiter whose request has left.
func (p *Pool) abandonWaiterLocked(wt *waiter) {
	switch {
	case wt.client != nil && wt.client.deferred.remove(wt):
		p.deferred--
	case p.queue.remove(wt):
		p.unreserveLocked(wt.client)
		p.growLocked() // for the one that was held for it
		p.wakeLocked() // a generation without a worker may rest again
	case wt.err == nil:
		// It was served while it left: the next in line gets the worker.
		wt.lease.w.leaseID++
		wt.lease.w.lease.disown() // nothing of it was sent
		p.returnLocked(wt.lease.w, p.clock())
		p.checkDrainedLocked()
	}
}

// rejectWaitersLocked tells a request that it gets no worker. It stands in no line any
// more.
func (p *Pool) rejectWaitersLocked(wt *waiter, err error) {
	wt.err = err
	wt.notify()
	p.unreserveLocked(wt.client)
}

// recordQueueLengthLocked notes that one more waits.
func (p *Pool) recordQueueLengthLocked() {
	p.maxQueueLength = max(p.maxQueueLength, p.queue.len+p.deferred)
}

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
