package threads

import (
	"math"
	"math/rand/v2"
	"testing"
)

// load is a simulated load: what Caddy does in a slice with a limit.
type load func(limit int) sample

// simulate runs a controller under a load, each slice of which is disturbed, and
// returns the share of slices with less than the maximum.
func simulate(c *controller, r *rand.Rand, l load, slices int) (limited float64) {
	for range slices {
		if c.limit < c.max {
			limited += 1 / float64(slices)
		}
		s := l(c.limit)
		speed := 1 + 0.1*r.NormFloat64() // of the machine
		s.requests *= speed
		s.used *= 1 + 0.04*r.NormFloat64()
		s.waited *= math.Exp(0.25 * r.NormFloat64())
		c.next(s)
	}
	return limited
}

// times makes a load: requests and the CPUs used, idle and waiting with all CPUs, and
// the factors of requests and CPU time for each with fewer than needed.
func times(requests, used, idle, waiting float64, needed int, rate, cost float64) load {
	return func(limit int) sample {
		s := sample{0.1, requests, used * 0.1, idle * 0.1, waiting * 0.1}
		if limit < needed {
			s.requests *= rate
			s.used *= rate * cost
		}
		return s
	}
}

// The loads are those of docs/performance.md, on two CPUs.
var (
	hello1    = times(300, 0.83, 0.7, 0.4, 2, 1.15, 0.75)
	hello16   = times(660, 1.02, 0.3, 1.9, 2, 1.08, 0.82)
	hello64   = times(660, 1.02, 0.2, 4, 2, 0.9, 1)
	slow16    = times(380, 1.2, 0.1, 1.9, 2, 1.2, 0.7) // hello, on a slower machine
	needs2    = times(600, 1.6, 0.1, 2, 2, 0.7, 0.9)
	http2     = times(450, 0.95, 0.25, 3, 2, 0.9, 0.95)
	encode    = times(370, 1.05, 0.2, 1.6, 2, 0.95, 0.93)
	downloads = times(30, 1.2, 0.2, 4, 2, 0.2, 4)
	bursts    = times(64, 0.14, 1.7, 1.1, 2, 1, 0.9)
	large     = times(300, 0.6, 1.1, 1.5, 2, 1, 0.9) // bursts that use more
	trickle   = times(3, 0.02, 1.9, 0, 2, 1, 1)
)

func TestController(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		what        string
		load        load
		least, most float64
	}{
		{"hello, 1 client", hello1, 0.8, 1},
		{"hello, 16 clients", hello16, 0.8, 1},
		{"hello, 16 clients, slower machine", slow16, 0.8, 1},
		{"Caddy needs two", needs2, 0, 0.01},
		{"hello, 64 clients", hello64, 0, 0.15},
		{"HTTP/2", http2, 0, 0.15},
		{"compression", encode, 0, 0.2},
		{"downloads", downloads, 0, 0},
		{"bursts", bursts, 0, 0},
		{"large bursts", large, 0, 0},
		{"hardly anything", trickle, 0, 0},
	} {
		sum := 0.0
		const runs = 50
		for range runs {
			sum += simulate(newController(2), r, c.load, 1200) / runs
		}
		if sum < c.least || sum > c.most {
			t.Errorf("%s: limited for %.2f of two minutes, want %.2f to %.2f", c.what, sum, c.least, c.most)
		}
	}
}

// A load with one client is recognized within a second most of the time.
func TestController_Fast(t *testing.T) {
	r, sum := rand.New(rand.NewPCG(1, 2)), 0.0
	const runs = 200
	for range runs {
		sum += simulate(newController(2), r, hello1, 20) / runs
	}
	if sum < 0.5 {
		t.Errorf("limited for %.2f of the first two seconds, want 0.5 at least", sum)
	}
}

// Other work ends the limit with the first slice, and so does a burst.
func TestController_OtherWork(t *testing.T) {
	for what, other := range map[string]load{"downloads": downloads, "bursts": large} {
		r, c := rand.New(rand.NewPCG(1, 2)), newController(2)
		for simulate(c, r, hello1, 100); c.limit != 1; {
			simulate(c, r, hello1, 1)
		}
		if c.next(other(1)); c.limit != 2 {
			t.Errorf("%s: got limit %d, want 2", what, c.limit)
		}
		if got := simulate(c, r, other, 100); got > 0 {
			t.Errorf("%s: limited for %.2f of the time, want 0", what, got)
		}
	}
}

// A pause ends the limit, but what was found out is kept.
func TestController_Pause(t *testing.T) {
	r, c := rand.New(rand.NewPCG(1, 2)), newController(2)
	simulate(c, r, hello1, 200)
	simulate(c, r, trickle, lingering)
	if c.limit != 2 || !c.rests() {
		t.Errorf("got limit %d, %t, want 2, and a rest", c.limit, c.rests())
	}
	simulate(c, r, hello1, starting)
	if c.limit != 1 || c.trying {
		t.Errorf("got limit %d, trying %t, want 1", c.limit, c.trying)
	}
}

// A load of another kind is recognized, even if each request takes as much CPU time.
func TestController_OtherLoad(t *testing.T) {
	r, sum := rand.New(rand.NewPCG(1, 2)), 0.0
	const runs = 100
	for range runs {
		c := newController(2)
		simulate(c, r, hello16, 1200)
		sum += simulate(c, r, hello64, 100) / runs
	}
	if sum > 0.4 {
		t.Errorf("limited for %.2f of the next ten seconds, want 0.4 at most", sum)
	}
}

// With more CPUs the limit goes to what Caddy needs; if that is too low, it is raised.
func TestController_ManyCPUs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		what string
		load load
		want int
	}{
		{"enough", times(3000, 1.9, 0.3, 2, 0, 1, 1), 8},
		{"better", func(limit int) sample {
			if limit < 8 {
				return times(3000, 1.9, 0.3, 2, 8, 1.1, 0.8)(limit)
			}
			return times(3000, 1.9, 0.3, 2, 8, 1, 1)(limit)
		}, 2},
		{"better with 4 at least", func(limit int) sample {
			if limit < 4 {
				return times(3000, 1.9, 0.3, 2, 4, 0.8, 1)(limit)
			}
			return times(3000, 1.9, 0.3, 2, 8, 1.1, 0.8)(limit)
		}, 4},
		{"idle CPUs", times(3000, 1.9, 4, 2, 8, 1.1, 0.8), 8},
	} {
		control := newController(8)
		simulate(control, r, c.load, 3000)
		counts := [9]int{}
		for range 1000 {
			counts[control.limit]++
			simulate(control, r, c.load, 1)
		}
		if counts[c.want] < 800 {
			t.Errorf("%s: got limits %v, want mostly %d", c.what, counts, c.want)
		}
	}
}
