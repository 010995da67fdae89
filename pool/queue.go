package pool

// waiter is one request in line. Everything but done belongs to the pool's
// mutex until done is closed.
type waiter struct {
	info  Info
	own   *share // of its client; nil where that is not bounded
	lease Lease
	err   error
	done  chan struct{}

	prev, next *waiter
	in         *line // nil when it stands in none
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
