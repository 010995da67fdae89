package human

import "testing"

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 workers", 1: "1 worker", 2: "2 workers"} {
		if got := Plural(n, "worker"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
