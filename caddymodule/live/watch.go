package live

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// watchInterval is how often those files are looked at: an edit is in force
// within twice as long, since one that is still being made must be waited for.
const watchInterval = time.Second

// watch restarts the pool when php.ini, another ini file or php-cgi itself has
// changed, for as long as the config in force asks for that. It looks instead
// of being told, because inotify does not see changes through bind mounts and
// network file systems.
func (l *Pool) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var before, tried map[string]string
	for {
		select {
		case <-l.closeCtx.Done():
			return
		case <-ticker.C:
		}
		current, _ := l.Active()
		if current == nil || !poolcfg.ValueOr(current.Options.Watch, false) {
			continue
		}
		now := poolcfg.FileStates(slices.Collect(maps.Keys(current.Inputs)))
		settled := maps.Equal(now, before)
		before = now
		if !settled || maps.Equal(now, current.Inputs) || maps.Equal(now, tried) {
			continue
		}
		tried = now
		if err := l.Restart(l.closeCtx, "changed: "+firstDifference(now, current.Inputs)); err != nil {
			l.logger.Error("watch: php-cgi or its settings changed, but the new generation failed to start; keeping the old one",
				zap.String("changed", firstDifference(now, current.Inputs)), zap.Error(err))
		}
	}
}

// firstDifference names one of the files that differ.
func firstDifference(a, b map[string]string) string {
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if a[path] != b[path] {
			return path
		}
	}
	return fmt.Sprint(len(a), " files")
}
