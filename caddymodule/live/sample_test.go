package live_test

import (
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/pool"
)

func TestSampler_CPUShareOfBusyTime(t *testing.T) {
	m := new(livetest.Meter)
	livetest.RunMetered(t, m, 1, func(p *live.Pool) {
		share := func() float64 {
			time.Sleep(time.Second)
			return p.Sampler.Sample(p.Pool)[1].Share
		}
		step := func(name string, busy, cpu time.Duration, want float64) {
			t.Helper()
			livetest.HoldWorker(t, p, pool.Info{Method: "GET"}, busy)
			m.CPU.Add(int64(cpu))
			if got := share(); got != want {
				t.Errorf("%s: got %v %%, want %v %%", name, got, want)
			}
		}
		if got := share(); got != 0 {
			t.Errorf("before the first request: got %v %%, want 0", got)
		}
		step("first request, shorter than shareSpan", 40*time.Millisecond, 10*time.Millisecond, 25)
		step("longer than shareSpan", 360*time.Millisecond, 190*time.Millisecond, 50)
		step("shorter than shareSpan: share unchanged", 50*time.Millisecond, 0, 50)
		step("both together longer than shareSpan", 150*time.Millisecond, 200*time.Millisecond, 100)
		step("more CPU time than busy time", 100*time.Millisecond, time.Second, 100)
	})
}
