package caddymodule

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// resizeByMeasurement adjusts the sizes of pools with automatic ones to the memory
// that their largest worker has used, until the config is stopped.
func (a *App) resizeByMeasurement(resources poolcfg.Resources) {
	ticker := time.NewTicker(poolcfg.MeasureInterval)
	defer ticker.Stop()
	largest := map[string]int64{} // bytes, by pool name
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-ticker.C:
		}
		for name, p := range a.pools {
			largest[name] = max(largest[name], p.LargestWorkerBytes())
		}
		plans := map[string]*poolcfg.Plan{}
		for name, plan := range a.plans {
			resized := *plan
			plans[name] = &resized
		}
		poolcfg.Allocate(resources, plans, largest)
		for name, p := range a.pools {
			p.Resize(a, plans[name])
		}
	}
}
