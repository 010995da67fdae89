package phpbin_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// TestMaster_NonblockingSocket has a program that a script starts make the listening
// socket non-blocking, or shut it down. Children that come to accept then exit at once,
// and the master forks forever.
func TestMaster_NonblockingSocket(t *testing.T) {
	phpbin.SetChildrenTick(t, 20*time.Millisecond)
	for name, change := range map[string]string{
		"non-blocking": `fcntl($s, F_SETFL, fcntl($s, F_GETFL, 0) | O_NONBLOCK);`,
		"shut down":    `shutdown($s, 2);`,
	} {
		t.Run(name, func(t *testing.T) {
			var notices, replaced atomic.Int64
			o := options(t)
			o.Notice = func(message string, err error) {
				t.Logf("%s: %v", message, err)
				if strings.Contains(message, "replacing the master") {
					replaced.Add(1)
				}
				notices.Add(1)
			}
			l := startLauncher(t, "shared", o)
			p := mustLaunch(t, l)
			perl := `use Fcntl; use Socket; for my $fd (3 .. 20) { open(my $s, "+<&=", $fd) or next; ` +
				`my $on = getsockopt($s, SOL_SOCKET, SO_ACCEPTCONN) or next; if (unpack("i", $on)) { ` + change + ` print "changed"; } }`
			if got := eval(t, p, `passthru('perl -e '.escapeshellarg(`+"base64_decode('"+base64.StdEncoding.EncodeToString([]byte(perl))+"')"+`));`); got != "changed" {
				t.Fatalf("the script responded %q", got)
			}
			if err := p.Kill(); err != nil { // its successor comes to accept
				t.Fatal(err)
			}
			eventually(t, waitLimit, "noticed", func() bool { return notices.Load() > 0 })
			if name == "shut down" || replaced.Load() > 0 { // a new generation follows
				eventually(t, waitLimit, "without a master", func() bool {
					select {
					case <-l.Done():
						return true
					default:
						return false
					}
				})
				return
			}
			before := children(l.MasterPID())
			eventually(t, waitLimit, "idle", func() bool {
				now := children(l.MasterPID())
				same := slices.Equal(before, now)
				before = now
				time.Sleep(50 * time.Millisecond)
				return same && len(now) == o.Slots
			})
			run(t, mustLaunch(t, l), "pid.php", nil)
		})
	}
}
