package phpbin

import "testing"

// Another caller may reach the child that is drained before its drain begins to
// wait for it.
func TestDrain_ChildReachedByAnotherCaller(t *testing.T) {
	c := &child{done: make(chan struct{})}
	other := &child{done: make(chan struct{})}
	s := &Shared{slotTable: &slotTable{}}
	s.deliver(&Process{proc: c})
	s.deliver(&Process{proc: other})
	r := &childRequest{drained: &Process{proc: c}, result: make(chan *Process, 1)}
	s.addRequest(r)
	select {
	case p := <-r.result:
		if p.proc != c {
			t.Error("got another child")
		}
	default:
		t.Error("the request waits for a child that is unassigned")
	}
}
