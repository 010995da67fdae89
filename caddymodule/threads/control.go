package threads

import (
	"math"
	"time"
)

// slice is how long Caddy is measured at a time.
const slice = 100 * time.Millisecond

// What a load must be like for a lower limit to be tried.
const (
	// leastUsed are the CPUs that Caddy uses at least: of less there is little to gain.
	leastUsed = 0.4

	// mostCost is the CPU time of Caddy for each request in seconds. "hello" takes 0.1
	// to 0.4 ms, compressing a page of 100 KB as much again, sending a file of 100 MB
	// 150 ms: beyond it Caddy does other work.
	mostCost = 1e-3

	// overhead are the CPUs that threads use at most while they look for work.
	overhead = 0.4

	// muchIdle CPUs and manyWaiting goroutines at once mean that threads are missing, as
	// in bursts. With few clients, or while PHP wants all CPUs, one of them is less.
	muchIdle    = 0.8
	manyWaiting = 1.0
)

// How limits are compared.
const (
	// gain is the least that keeps a lower limit, see difference.
	gain = 0.1

	// noise is the standard deviation of one difference, and mostDifference the largest
	// that counts.
	noise          = 0.3
	mostDifference = 0.6

	// memory is the number of differences that count, and doubt that after a change of
	// the load: by the factor otherCost of its CPU time for each request, or otherWait of
	// the goroutines that wait, as with more clients.
	memory    = 8
	doubt     = 2
	otherCost = 1.4
	otherWait = 1.7

	// settling is the number of slices after a change that say nothing yet: the kernel
	// moves PHP and Caddy to other CPUs.
	settling = 1

	// starting is the number of slices before a limit is tried, hesitation that after one
	// has harmed, and tryFor that for which the limit is tried that was worse so far.
	starting   = 2
	hesitation = 10
	tryFor     = 3

	// recent is the number of slices that the average of a longer time is about.
	recent = 6

	// lingering is the number of slices with little to do before a limit ends.
	lingering = 5

	// firstInterval is the number of slices between two trials while it is uncertain which
	// limit is better. Then it doubles each time.
	firstInterval = 10
	maxInterval   = int(10 * time.Second / slice)
)

// sample has the measurements of a slice, or the average of several.
type sample struct {
	seconds  float64
	requests float64 // that came for PHP
	used     float64 // CPU seconds of Caddy
	idle     float64 // CPU seconds of nobody
	waited   float64 // seconds that goroutines could run and did not, all together
}

// cost returns the CPU time of Caddy for each request.
func (s *sample) cost() float64 { return s.used / max(s.requests, 1) }

// needs returns how many CPUs Caddy needs.
func (s *sample) needs() int { return max(1, int(math.Ceil(s.used/s.seconds-overhead))) }

// starved reports whether threads are missing.
func (s *sample) starved() bool {
	return s.idle >= muchIdle*s.seconds && s.waited >= manyWaiting*s.seconds
}

// differs reports whether s is another kind of load than o, which is of the same limit and
// may be empty.
func (s *sample) differs(o *sample) bool {
	apart := func(a, b, factor float64) bool { return a > factor*b || b > factor*a }
	return o.seconds == 0 || apart(s.cost(), o.cost(), otherCost) || apart(s.waited/s.seconds, o.waited/o.seconds, otherWait)
}

// mix gives o the weight w of the average of both.
func (s *sample) mix(o *sample, w float64) {
	s.seconds += w * (o.seconds - s.seconds)
	s.requests += w * (o.requests - s.requests)
	s.used += w * (o.used - s.used)
	s.idle += w * (o.idle - s.idle)
	s.waited += w * (o.waited - s.waited)
}

// difference says by how much low is worse than high: fewer requests per second are worse,
// and more CPU time for each, which counts a sixth. It is 0 if they are equal.
func difference(low, high *sample) float64 {
	rates := (low.requests / low.seconds) / (high.requests / high.seconds)
	d := math.Log(low.cost()/high.cost())/2 - 3*math.Log(rates)
	return min(max(d, -mostDifference), mostDifference)
}

// stay has what was measured while one limit was in effect.
type stay struct {
	slices  int
	average sample // of the last ones
}

func (s *stay) add(o *sample) {
	s.slices++
	s.average.mix(o, 1/float64(min(s.slices, recent)))
}

// controller decides on the limit. What Caddy uses does not tell whether fewer threads
// would be better, so it compares: most of the time it uses the limit that was better so
// far, and now and then it tries the other one.
type controller struct {
	limit, max, low int       // limit is max or low; low is max if Caddy needs all
	stays           [2]stay   // with max, and with low
	loads           [2]sample // for which the evidence is, measured with max and with low

	trying   bool // limit is not the better one
	left     int  // slices until that changes
	interval int  // slices until the next one
	skip     int  // slices that say nothing yet
	calm     int  // slices in a row with little to do

	evidence float64 // the average of the last differences, of which there are count
	count    int
}

func newController(limit int) *controller {
	c := &controller{max: limit, low: limit, interval: firstInterval}
	c.lift(starting)
	return c
}

// next takes a slice and returns the limit from now on.
func (c *controller) next(s sample) int {
	least := leastUsed
	if c.limit < c.max {
		least /= 2
	}
	little := s.used < least*s.seconds
	if !little {
		c.calm = 0
	}
	switch {
	case little:
		if c.calm++; c.calm >= lingering || c.limit == c.max {
			c.lift(starting)
		}
	case s.starved():
		if c.limit < c.max {
			c.learn(mostDifference)
		}
		c.lift(hesitation)
	case s.cost() > mostCost:
		c.lift(hesitation)
	case c.skip > 0:
		c.skip--
	default:
		stay, load := &c.stays[c.here()], &c.loads[c.here()]
		stay.add(&s)
		other := stay.slices >= recent && stay.average.differs(load)
		if c.left--; c.left <= 0 || other {
			c.turn()
		}
	}
	return c.limit
}

// here returns the index of the present limit in stays and loads.
func (c *controller) here() int {
	if c.limit < c.max {
		return 1
	}
	return 0
}

// lift ends the limit for a number of slices at least.
func (c *controller) lift(slices int) {
	c.limit, c.stays = c.max, [2]stay{}
	c.trying, c.left, c.skip = c.count > 0, slices, 0
}

// turn begins or ends a trial.
func (c *controller) turn() {
	c.recognize(&c.stays[c.here()].average)
	if c.trying {
		if high, low := &c.stays[0], &c.stays[1]; high.slices > 0 && low.slices > 0 {
			c.learn(difference(&low.average, &high.average))
		}
		c.trying, c.left = false, c.interval
		c.use(c.better())
		return
	}
	c.trying, c.left = true, tryFor
	c.use(c.low + c.max - c.limit)
}

// use changes the limit.
func (c *controller) use(limit int) {
	if limit != c.limit {
		c.limit, c.skip = limit, settling
		c.stays[c.here()] = stay{}
	}
}

// better returns the limit to prefer: the low one only if it was better by more than
// half of what may be noise.
func (c *controller) better() int {
	if c.evidence+gain < -c.uncertainty()/2 {
		return c.low
	}
	return c.max
}

// recognize adapts to the load: it doubts the evidence if that was for another load, and
// drops it if it was for another limit than Caddy needs now.
func (c *controller) recognize(s *sample) {
	load := &c.loads[c.here()]
	other := s.differs(load)
	if other {
		*load = *s
		c.count, c.interval = min(c.count, doubt), firstInterval
	}
	load.mix(s, 1./memory)
	if c.limit < c.max {
		return
	}
	if low := s.needs(); low > c.low || low < c.low && (other || c.low == c.max) {
		c.compareWith(low)
	}
}

// compareWith starts comparisons with another low limit.
func (c *controller) compareWith(low int) {
	c.low, c.evidence, c.count, c.interval = low, 0, 0, firstInterval
	c.stays[1], c.loads[1] = stay{}, sample{}
}

// learn adds a difference to the evidence.
func (c *controller) learn(difference float64) {
	before := c.better()
	c.count = min(c.count+1, memory)
	c.evidence += (difference - c.evidence) / float64(c.count)
	switch {
	case math.Abs(c.evidence+gain) < c.uncertainty(), c.better() != before:
		c.interval = firstInterval
	case c.better() == c.max && c.low+1 < c.max: // too low
		c.compareWith(c.low + 1)
	default:
		c.interval = min(2*c.interval, maxInterval)
	}
}

// uncertainty returns the standard deviation of the evidence.
func (c *controller) uncertainty() float64 { return noise / math.Sqrt(float64(max(c.count, 1))) }

// rests reports whether nothing is to be measured before the next request.
func (c *controller) rests() bool { return c.limit == c.max && c.calm > 0 }
