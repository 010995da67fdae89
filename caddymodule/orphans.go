package caddymodule

import (
	"sync"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

var killOrphansOnce sync.Once

// killOrphans kills the php-cgi processes of an earlier Caddy that was killed
// together with their watchdog. It runs once, before this process starts its first
// php-cgi. The processes' options say where to look for orphans.
func (a *App) killOrphans() {
	if len(a.plans) == 0 {
		return
	}
	killOrphansOnce.Do(func() {
		var options []phpbin.Options
		for _, plan := range a.plans {
			options = append(options, plan.Process)
		}
		killed, err := phpbin.KillOrphans(options...)
		if len(killed) > 0 {
			var pids, owners []int
			for _, orphan := range killed {
				pids, owners = append(pids, orphan.PID), append(owners, orphan.OwnerPID)
			}
			a.logger.Warn("killed orphaned php-cgi processes", zap.Ints("pids", pids), zap.Ints("started_by", owners))
		}
		if err != nil {
			a.logger.Warn("error killing orphaned php-cgi processes", zap.Error(err))
		}
	})
}
