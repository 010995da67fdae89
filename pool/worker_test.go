package pool

import "testing"

func TestState_Moves(t *testing.T) {
	for from := range State(states) {
		for to := range State(states) {
			allowed := false
			for _, s := range moves[from] {
				allowed = allowed || s == to
			}
			func() {
				defer func() {
					if refused := recover() != nil; refused == allowed {
						t.Errorf("%v to %v: refused %t, allowed %t", from, to, refused, allowed)
					}
				}()
				checkMove(from, to)
			}()
		}
	}
	if len(moves[Gone]) != 0 {
		t.Error("a worker that has gone must not come back")
	}
}
