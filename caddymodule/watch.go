package caddymodule

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

// watchInterval is how often those files are looked at: an edit is in force
// within twice as long, since one that is still being made must be waited for.
const watchInterval = time.Second

// watch restarts the pool when php.ini, another ini file or php-cgi itself has
// changed, for as long as the config in force asks for that. It looks instead
// of being told, because inotify does not see changes through bind mounts and
// network file systems.
func (l *managedPool) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var before, tried map[string]string
	for {
		select {
		case <-l.closeCtx.Done():
			return
		case <-ticker.C:
		}
		current, _ := l.active()
		if current == nil || !valueOr(current.options.Watch, false) {
			continue
		}
		now := fileStates(slices.Collect(maps.Keys(current.inputs)))
		settled := maps.Equal(now, before)
		before = now
		if !settled || maps.Equal(now, current.inputs) || maps.Equal(now, tried) {
			continue
		}
		tried = now
		if err := l.restart(l.closeCtx, "changed: "+firstDifference(now, current.inputs)); err != nil {
			l.logger.Error("watch: php-cgi or its settings changed, but the new generation failed to start; keeping the old one",
				zap.String("changed", firstDifference(now, current.inputs)), zap.Error(err))
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
