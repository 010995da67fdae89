package phpbin

import "testing"

// Another one's dial may reach the child that is drained before its drain has
// begun to wait for it.
func TestADrainFindsItsChildThatSomebodyElseHasReached(t *testing.T) {
	c := &child{done: make(chan struct{})}
	other := &child{done: make(chan struct{})}
	s := &Shared{slotTable: &slotTable{}}
	s.deliver(&Process{proc: c})
	s.deliver(&Process{proc: other})
	w := &childRequest{from: &Process{proc: c}, got: make(chan *Process, 1)}
	s.addRequest(w)
	select {
	case p := <-w.got:
		if p.proc != c {
			t.Error("got another child")
		}
	default:
		t.Error("it waits for a child that is there")
	}
}
