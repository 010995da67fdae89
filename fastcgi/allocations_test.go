//go:build !race

package fastcgi

import "testing"

// TestAllocations_RequestAndResponseHead checks that a request is encoded without
// allocation, and that a response header is parsed with those of its result only:
// a map and its values. The race detector changes the number of allocations.
func TestAllocations_RequestAndResponseHead(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() {
		r := NewRequest()
		addParams(r)
		if _, mark, _, err := r.seal(); err == nil {
			r.unseal(mark)
		}
		r.Free()
	}); n > 0 {
		t.Errorf("encoding a request: got %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := parseHead("X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n"); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("parsing a response header: got %v allocations, want at most 3", n)
	}
}
