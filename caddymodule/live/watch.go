package live

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// watchInterval is how often the files are checked. A change is active within
// about twice as long: a restart waits until two checks in a row agree, so that it
// does not read a file that is still being written.
const watchInterval = time.Second

// watch restarts the pool when php.ini, another ini file or php-cgi has changed,
// while the active settings have the option watch. It polls, because inotify does
// not report changes through bind mounts and on network file systems.
func (p *Pool) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var last, tried map[string]string
	for {
		select {
		case <-p.closeCtx.Done():
			return
		case <-ticker.C:
		}
		current, _ := p.Active()
		if current == nil || !current.Options.WatchesFiles() {
			continue
		}
		now := poolcfg.FileStates(slices.Collect(maps.Keys(current.Inputs)))
		stable := maps.Equal(now, last)
		last = now
		if !stable || maps.Equal(now, current.Inputs) || maps.Equal(now, tried) {
			continue
		}
		tried = now
		changed := firstDifference(now, current.Inputs)
		if err := p.Restart(p.closeCtx, "changed: "+changed); err != nil {
			p.logger.Error("watch: php-cgi or its settings changed, but the new generation failed to start; keeping the old one",
				zap.String("changed", changed), zap.Error(err))
		}
	}
}

// firstDifference returns the first path, in order, whose states differ.
func firstDifference(a, b map[string]string) string {
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if a[path] != b[path] {
			return path
		}
	}
	return fmt.Sprint(len(a), " files")
}
