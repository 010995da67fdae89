package pool

import "testing"

func TestSize_Missing(t *testing.T) {
	dynamic := Size{Manager: Dynamic, MinWorkers: 1, StartWorkers: 2, MaxWorkers: 8, MaxSpare: 2}
	ondemand := Size{Manager: OnDemand, MaxWorkers: 4}
	static := Size{Manager: Static, MaxWorkers: 4}
	for _, c := range []struct {
		what string
		size Size
		now  counts
		want int
	}{
		{"static: all", static, counts{}, 4},
		{"static: the missing one", static, counts{busy: 2, starting: 1}, 1},
		{"static: never above the maximum", static, counts{busy: 4, waiting: 9}, 0},
		{"dynamic: the minimum", dynamic, counts{}, 1},
		{"dynamic: no request waits", dynamic, counts{busy: 2}, 0},
		{"dynamic: one for each waiting request", dynamic, counts{busy: 2, waiting: 3}, 3},
		{"dynamic: launches in progress count", dynamic, counts{busy: 2, starting: 2, waiting: 3}, 1},
		{"dynamic: up to max", dynamic, counts{busy: 6, waiting: 9}, 2},
		{"dynamic: draining workers count", dynamic, counts{busy: 6, draining: 2, waiting: 9}, 0},
		{"ondemand: none when idle", ondemand, counts{}, 0},
		{"ondemand: the first request", ondemand, counts{waiting: 1}, 1},
		{"ondemand: up to max", ondemand, counts{waiting: 9}, 4},
	} {
		if got := c.size.missing(c.now); got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, got, c.want)
		}
	}
}

func TestSize_Surplus(t *testing.T) {
	dynamic := Size{Manager: Dynamic, MinWorkers: 2, MaxWorkers: 8, MaxSpare: 3}
	for _, c := range []struct {
		what             string
		size             Size
		now              counts
		spare, timed, at int
	}{
		{"dynamic, idle", dynamic, counts{idle: 2}, 0, 0, 0},
		{"dynamic after a burst", dynamic, counts{idle: 8}, 5, 6, 0},
		{"dynamic with busy ones", dynamic, counts{idle: 4, busy: 4}, 1, 4, 0},
		{"dynamic made smaller", dynamic, counts{idle: 4, busy: 6}, 1, 4, 2},
		{"ondemand", Size{Manager: OnDemand, MaxWorkers: 4}, counts{idle: 3}, 0, 3, 0},
		{"static", Size{Manager: Static, MaxWorkers: 4}, counts{idle: 4}, 0, 0, 0},
		{"static made smaller", Size{Manager: Static, MaxWorkers: 2}, counts{idle: 4}, 0, 0, 2},
	} {
		if got := c.size.aboveMaxSpare(c.now); got != c.spare {
			t.Errorf("%s: aboveMaxSpare: got %d, want %d", c.what, got, c.spare)
		}
		if got := c.size.expendable(c.now); got != c.timed {
			t.Errorf("%s: expendable: got %d, want %d", c.what, got, c.timed)
		}
		if got := c.size.surplus(c.now, 0); got != c.at {
			t.Errorf("%s: surplus: got %d, want %d", c.what, got, c.at)
		}
	}
}

func TestLimits_Jitter(t *testing.T) {
	l := Limits{MaxRequests: 5, MaxRequestsJitter: 9}
	for range 1000 {
		if n := l.drawMaxRequests(); n < 1 || n > 5 {
			t.Fatalf("drew %d of %+v", n, l)
		}
	}
}
