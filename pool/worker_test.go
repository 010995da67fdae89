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
					if panicked := recover() != nil; panicked == allowed {
						t.Errorf("%v to %v: panicked %t, allowed %t", from, to, panicked, allowed)
					}
				}()
				checkMove(from, to)
			}()
		}
	}
	if len(moves[Gone]) != 0 {
		t.Error("a worker in state Gone must not change its state")
	}
}
