package caddymodule

import (
	"sync"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

var killOrphansOnce sync.Once

// killOrphans ends, before this process starts its first php-cgi, those that a
// Caddy has left that was killed together with their watchdog.
func (a *App) killOrphans() {
	if len(a.plans) == 0 {
		return
	}
	killOrphansOnce.Do(func() {
		var next []phpbin.Options
		for _, s := range a.plans {
			next = append(next, s.Process)
		}
		ended, err := phpbin.KillOrphans(next...)
		if len(ended) > 0 {
			var pids, owners []int
			for _, l := range ended {
				pids, owners = append(pids, l.PID), append(owners, l.OwnerPID)
			}
			a.logger.Warn("killed orphaned php-cgi processes", zap.Ints("pids", pids), zap.Ints("started_by", owners))
		}
		if err != nil {
			a.logger.Warn("error killing orphaned php-cgi processes", zap.Error(err))
		}
	})
}
