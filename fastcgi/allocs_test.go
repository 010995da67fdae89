//go:build !race

package fastcgi

import "testing"

// TestARequestIsEncodedWithoutAllocation, and the head of its answer parsed with
// those alone that it is kept in: a map and its values. The race detector changes
// the count.
func TestARequestIsEncodedWithoutAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() {
		r := NewRequest()
		addParams(r)
		if _, mark, _, err := r.seal(); err == nil {
			r.unseal(mark)
		}
		r.Free()
	}); n > 0 {
		t.Errorf("a request: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := parseHead("X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n"); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("the head of an answer: %v allocations, want 3 at most", n)
	}
}
