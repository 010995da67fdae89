package phpbin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// end waits until every php-cgi has ended, and ends those that are left when
// time is up. There is nothing that one could ask them by: who stops a worker
// here has terminated it already.
func (g *group) shutdown() error {
	defer g.thread.stop()
	defer g.watchdog.stop()
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		if g.running() == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-g.force:
			g.watchdog.killAll()
		}
	}
}

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w on Windows", errors.ErrUnsupported)
}

func killGroup(int) error { return errors.ErrUnsupported }

// ownOPcacheINI gives the processes of one launcher an OPcache of their own. The
// shared memory goes by name, and a worker that is terminated while it runs a
// script leaves "in use" raised for good: a reset then never happens again
// (ext/opcache/ZendAccelerator.c, accel_inc_usage). A new launcher starts anew.
func ownOPcacheINI() []Setting {
	return []Setting{{Name: "opcache.cache_id", Value: "php_pool_" + rand.Text()}}
}
