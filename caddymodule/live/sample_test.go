package live_test

import (
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/pool"
)

func TestTheShareOfTheProcessorIsOfTheTimeForRequests(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 1, func(l *live.Pool) {
		share := func() float64 {
			time.Sleep(time.Second)
			return l.Sampler.Sample(l.Pool)[1].Share
		}
		step := func(what string, took, cpu time.Duration, want float64) {
			t.Helper()
			livetest.HoldWorker(t, l, pool.Info{Method: "GET"}, took)
			m.CPU.Add(int64(cpu))
			if got := share(); got != want {
				t.Errorf("%s: got %v %%, want %v %%", what, got, want)
			}
		}
		if got := share(); got != 0 {
			t.Errorf("before the first request: got %v %%", got)
		}
		step("the first request, short as it is", 40*time.Millisecond, 10*time.Millisecond, 25)
		step("enough to go by", 360*time.Millisecond, 190*time.Millisecond, 50)
		step("too little to be told from nothing", 50*time.Millisecond, 0, 50)
		step("together with that enough", 150*time.Millisecond, 200*time.Millisecond, 100)
		step("more than there is", 100*time.Millisecond, time.Second, 100)
	})
}
