//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gdamore/tcell/v3/vt"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestMachines_Commands runs commands on two Caddys at once, and after one has been killed.
func TestMachines_Commands(t *testing.T) {
	t.Parallel()
	site := harness.PoolSite(harness.SharedLean, "workers 2")
	one, two := harness.Start(t, harness.SharedLean, site), harness.Start(t, harness.SharedLean, site)
	for _, s := range []*harness.Server{one, two} {
		s.WaitWorkers(harness.SharedLean, 2)
	}
	one.StartBlocked("wait.php")
	hosts := []string{"unix/" + one.Dir + "/admin.sock", "unix/" + two.Dir + "/admin.sock"}
	onBoth := func(args ...string) *result {
		return phpPool(one, append(args, "--address", hosts[0], "--address", hosts[1])...)
	}

	onBoth("status").says(0, `^HOST +POOL +PHP`, `\n`+hosts[0]+` +main .* 1 +1 +2 +0 `, `\n`+hosts[1]+` +main .* 0 +2 +2 +0 `, `\nTOTAL +1 +3 +4 +0 `)
	onBoth("status", "main").says(0, `\n`+hosts[0]+` +main +\d+ +\d+ +busy .* GET /wait\.php\n`, `\n`+hosts[1]+` +main +\d+ +\d+ +idle `)
	onBoth("top", "--once", "--interval", "200ms").says(0, `^2 of 2 machines, 2 pools: 1 busy, 3 idle, at most 4; `,
		`\n`+hosts[0]+` +main .* GET /wait\.php\n`, `\n`+hosts[1]+` +main .* idle `)
	onBoth("backtrace").says(0, `^`+hosts[0]+`: main: worker \d+, .*GET /wait\.php\n`)
	onBoth("drain", "--all").says(0, `^`+hosts[0]+`: pool main: drained; .*\n`+hosts[1]+`: pool main: drained; `)
	onBoth("drain", "--all", "--undo").says(0, hosts[1]+`: pool main: requests may come again\n$`)
	onBoth("restart", "main").says(0, `^`+hosts[0]+`: pool main: generation 2 .*\n`+hosts[1]+`: pool main: generation 2 has replaced generation 1 after`)

	two.Stop(syscall.SIGKILL)
	onBoth("status").says(1, `\n`+hosts[0]+` +main `, `\n`+hosts[1]+` +no Caddy responds: dial unix `, `\nTOTAL `)
	onBoth("top", "--once", "--interval", "200ms").says(1, `^1 of 2 machines, 1 pool: `, `\n`+hosts[1]+` +no Caddy responds: `)
	onBoth("restart", "main").says(1, `no Caddy responds at `+hosts[1])
	if p := one.Pool(); p.Generation != 2 {
		t.Errorf("the pool has generation %d although the other machine does not respond", p.Generation)
	}
	var byHost map[string]json.RawMessage
	r := onBoth("status", "--json")
	r.says(1)
	if err := json.Unmarshal([]byte(r.stdout), &byHost); err != nil || !strings.HasPrefix(string(byHost[hosts[0]]), `[{"name":"main",`) ||
		!strings.HasPrefix(string(byHost[hosts[1]]), `{"error":"no Caddy responds: `) {
		t.Errorf("got %v and %s", err, r.stdout)
	}
}

// TestMachines_Top kills one of two Caddys while top shows both, and starts another one in its
// place.
func TestMachines_Top(t *testing.T) {
	t.Parallel()
	site := harness.PoolSite(harness.SharedLean, "workers 2")
	one, two := harness.Start(t, harness.SharedLean, site), harness.Start(t, harness.SharedLean, site)
	sockets := []string{filepath.Join(one.Dir, "a"), filepath.Join(one.Dir, "b")}
	link := func(i int, s *harness.Server) {
		t.Helper()
		next := sockets[i] + ".next"
		if err := os.Symlink(filepath.Join(s.Dir, "admin.sock"), next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, sockets[i]); err != nil {
			t.Fatal(err)
		}
	}
	link(0, one)
	link(1, two)
	one.StartBlocked("wait.php")
	one.WaitPool("with a busy worker", func(p harness.PoolStatus) bool { return p.Workers.Busy == 1 })

	tt := onTerminal(t, one.Command("php-pool", "top", "--interval", "100ms", "--address", "unix/"+sockets[0], "--address", "unix/"+sockets[1]))
	second := fmt.Sprintf("unix/%s  main ", sockets[1])
	tt.shows("2 of 2 machines, 2 pools: 1 busy, 3 idle, at most 4", "HOST", second)
	two.Stop(syscall.SIGKILL)
	tt.shows("1 of 2 machines, 1 pool: 1 busy, 1 idle, at most 2", fmt.Sprintf("unix/%s  no Caddy responds", sockets[1]))
	tt.screen.KeyTap(vt.KeyM)
	tt.shows("by memory")
	link(1, harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1")))
	tt.shows("2 of 2 machines, 2 pools: 1 busy, 2 idle, at most 3", second)
	tt.screen.KeyTap(vt.KeyQ)
	tt.ended()
}
