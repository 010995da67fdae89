package pool

import (
	"context"
	"time"
)

// Acquire leases the worker that became idle last. If no worker is idle, the
// request waits in the queue (first in, first out) until one is released or
// launched. info is used for logs, statistics, the quarantine and the client
// limit.
//
// The error is the cause of ctx, or one of [ErrClosed], [ErrQueueFull],
// [ErrClientLimit], [ErrQueueTimeout] and *[LaunchError].
func (p *Pool) Acquire(ctx context.Context, info Info) (Lease, error) {
	for {
		lease, wasIdle, err := p.acquire(ctx, info)
		if err != nil {
			return Lease{}, err
		}
		// While the worker was idle, its connection may have been closed, or a
		// process that the last script forked may have written to it. One that was handed
		// over was read to its end a moment ago.
		if !wasIdle || lease.w.conn.Check() == nil {
			return lease, nil
		}
		lease.discard(Crashed)
	}
}

// acquire is Acquire without the check of a worker that was idle.
func (p *Pool) acquire(ctx context.Context, info Info) (lease Lease, wasIdle bool, err error) {
	if err := ctx.Err(); err != nil {
		return Lease{}, false, context.Cause(ctx)
	}
	now := p.clock()
	p.mu.Lock()
	cl, deferred, err := p.reserveLocked(&info)
	if err != nil {
		p.mu.Unlock()
		return Lease{}, false, err
	}
	if n := len(p.idle); n > 0 && !deferred && !p.closed {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.times.Wait.add(0)
		lease := p.leaseLocked(w, &info, cl, now)
		p.mu.Unlock()
		return lease, true, nil
	}
	wt := p.getWaiterLocked(&info, cl)
	wt.since = now
	err = p.enqueueLocked(wt, deferred)
	if err != nil {
		p.putWaiterLocked(wt)
		if !deferred {
			p.unreserveLocked(cl)
		}
	}
	p.mu.Unlock()
	if err != nil {
		return Lease{}, false, err
	}
	lease, err = p.await(ctx, wt)
	return lease, false, err
}

// enqueueLocked adds a request to the queue, or to the deferred requests of its
// client, and sets how long it may wait. It fails if the queue is full, or if no
// worker can be launched that soon.
func (p *Pool) enqueueLocked(wt *waiter, deferred bool) error {
	if p.closed {
		return ErrClosed
	}
	wt.maxWait = p.settings.QueueTimeout
	if !p.opened {
		wt.maxWait = p.settings.StartTimeout
	}
	if m := wt.info.MaxWait; m > 0 && (wt.maxWait == 0 || m < wt.maxWait) {
		wt.maxWait = m
	}
	if p.failures.err != nil && wt.maxWait > 0 && p.opened && p.countsLocked().total() == 0 {
		if wait := p.failures.wait(time.Now()); wait >= wt.maxWait {
			return &LaunchError{Err: p.failures.err, RetryIn: wait}
		}
	}
	if deferred {
		p.deferLocked(wt)
		return nil
	}
	p.queue.push(wt)
	p.growLocked()
	// MaxQueue does not count requests that will get a worker soon: one that is
	// being launched, or one that runs a health check or a query.
	served := p.starting + p.internalLeases
	if p.startPending || !p.opened {
		served += p.settings.MaxWorkers
	}
	if p.queue.len > p.settings.MaxQueue+served {
		p.queue.remove(wt)
		p.rejections.QueueFull++
		return ErrQueueFull
	}
	if c := p.countsLocked(); c.waiting > 0 && c.total() >= p.settings.MaxWorkers {
		p.maxReached++
	}
	p.recordQueueLengthLocked()
	return nil
}

// await waits until a queued request gets a lease, is rejected, or gives up.
func (p *Pool) await(ctx context.Context, wt *waiter) (Lease, error) {
	expired := wt.timeout()
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
	p.times.Wait.add(p.clock() - wt.since)
	if err == nil {
		return wt.lease, wt.err
	}
	p.abandonWaiterLocked(wt)
	return Lease{}, err
}

// abandonWaiterLocked removes a waiter whose request has given up.
func (p *Pool) abandonWaiterLocked(wt *waiter) {
	switch {
	case wt.client != nil && wt.client.deferred.remove(wt):
		p.deferred--
	case p.queue.remove(wt):
		p.unreserveLocked(wt.client)
		p.growLocked() // a deferred request may have taken its place
		p.wakeLocked() // a generation without workers may be retired now
	case wt.err == nil:
		// It got a worker while it gave up: pass the worker on.
		wt.lease.w.leaseID++
		wt.lease.w.lease.disown() // nothing was sent
		p.returnLocked(wt.lease.w, p.clock())
		p.checkDrainedLocked()
	}
}

// rejectWaiterLocked fails a request that is no longer in any queue.
func (p *Pool) rejectWaiterLocked(wt *waiter, err error) {
	wt.err = err
	wt.notify()
	p.unreserveLocked(wt.client)
}

// recordQueueLengthLocked updates the maximum after a request was queued.
func (p *Pool) recordQueueLengthLocked() {
	p.maxQueueLength = max(p.maxQueueLength, p.queue.len+p.deferred)
}

// waiter is one request in a queue. All fields except done and timer are guarded
// by the pool's mutex until done has received.
type waiter struct {
	info    Info
	since   time.Duration // when it was queued, on the pool's clock
	maxWait time.Duration // how long it may wait; 0 means no limit
	client  *clientLimit  // nil if the client is not limited
	lease   Lease
	err     error
	done    chan struct{} // capacity 1: receives once, see notify
	timer   *time.Timer   // limits the wait; nil until it is needed for the first time

	prev, next *waiter
	queue      *waitQueue // nil if it is in none
}

// maxFreeWaiters limits how many waiters are kept for reuse. Under steady load
// one request leaves the queue for each one that enters it.
const maxFreeWaiters = 64

// getWaiterLocked returns a waiter, reusing a free one if possible.
func (p *Pool) getWaiterLocked(info *Info, client *clientLimit) *waiter {
	n := len(p.freeWaiters)
	if n == 0 {
		return &waiter{info: *info, client: client, done: make(chan struct{}, 1)}
	}
	wt := p.freeWaiters[n-1]
	p.freeWaiters = p.freeWaiters[:n-1]
	wt.info, wt.client = *info, client
	return wt
}

// putWaiterLocked keeps a waiter for reuse. It must be in no queue, and its
// request must not use it any more.
func (p *Pool) putWaiterLocked(wt *waiter) {
	if len(p.freeWaiters) == maxFreeWaiters {
		return
	}
	select {
	case <-wt.done: // it got a worker while it gave up
	default:
	}
	*wt = waiter{done: wt.done, timer: wt.timer}
	p.freeWaiters = append(p.freeWaiters, wt)
}

// notify wakes the request after lease or err has been set.
func (wt *waiter) notify() { wt.done <- struct{}{} }

// timeout returns a channel that receives after maxWait, or nil if maxWait is 0.
// The caller stops wt.timer.
func (wt *waiter) timeout() <-chan time.Time {
	switch {
	case wt.maxWait <= 0:
		return nil
	case wt.timer == nil:
		wt.timer = time.NewTimer(wt.maxWait)
	default:
		wt.timer.Reset(wt.maxWait)
	}
	return wt.timer.C
}

// waitQueue is a first in, first out queue from which any waiter can be removed.
// It is a linked list, so that removing one takes constant time.
type waitQueue struct {
	first, last *waiter
	len         int
}

func (q *waitQueue) push(wt *waiter) {
	wt.queue = q
	wt.prev = q.last
	if q.last != nil {
		q.last.next = wt
	} else {
		q.first = wt
	}
	q.last = wt
	q.len++
}

// pop removes and returns the first waiter, or nil.
func (q *waitQueue) pop() *waiter {
	wt := q.first
	if wt != nil {
		q.remove(wt)
	}
	return wt
}

// remove removes a waiter and reports whether it was in this queue.
func (q *waitQueue) remove(wt *waiter) bool {
	if wt.queue != q {
		return false
	}
	if wt.prev != nil {
		wt.prev.next = wt.next
	} else {
		q.first = wt.next
	}
	if wt.next != nil {
		wt.next.prev = wt.prev
	} else {
		q.last = wt.prev
	}
	wt.prev, wt.next, wt.queue = nil, nil, nil
	q.len--
	return true
}
