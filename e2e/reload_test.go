//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const checkScript = "/load/check.php"

// TestNoRequestIsLostByReloadsWithoutAChange also wants the same processes
// before and after, with what their OPcaches hold.
func TestNoRequestIsLostByReloadsWithoutAChange(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		site := loadSite(b, "manager static", "workers 4", "ini opcache.enable 1", "ini opcache.file_update_protection 0")
		s := start(t, b, site)
		before, processes := s.forked()
		l := s.load(checkScript, 4)
		caches := cacheBook{}
		for i := range rounds(50) {
			s.mustReload(site)
			if i%10 == 0 {
				caches.see(s)
			}
			l.more(5)
		}
		caches.see(s)
		l.end()
		s.wantUnchanged(before)
		if got := fmt.Sprint(s.php()); got != processes {
			t.Errorf("the processes are\n%s\nand were\n%s", got, processes)
		}
		s.wantNoneFailed()
	})
}

// cacheBook is what was seen of OPcaches, by process: when each began, and how
// often opcache.php has been found in it.
type cacheBook map[int][2]int

func (c cacheBook) see(s *server) {
	s.t.Helper()
	for range 8 {
		var a struct{ PID, Hits, Start int }
		if err := json.Unmarshal([]byte(s.getOn(s.port, "/opcache.php")), &a); err != nil {
			s.t.Fatal(err)
		}
		if old, ok := c[a.PID]; ok && (a.Start != old[0] || a.Hits <= old[1]) {
			s.t.Errorf("the OPcache of process %d began at %d and had %d hits, and now %d and %d", a.PID, old[0], old[1], a.Start, a.Hits)
		}
		c[a.PID] = [2]int{a.Start, a.Hits}
	}
}

// TestNoRequestIsLostByReloadsThatChangeTheSize makes the pool larger and
// smaller. Workers that stay are the same, and a new generation comes only where
// the master was started for fewer.
func TestNoRequestIsLostByReloadsThatChangeTheSize(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		sized := func(n int) string { return loadSite(b, "manager static", fmt.Sprint("workers ", n)) }
		s := start(t, b, sized(4))
		l := s.load(checkScript, 4)
		before, slots := s.pool(), 4
		for range rounds(50) {
			n := 1 + rand.IntN(9)
			s.mustReload(sized(n))
			p := s.poolBecomes(fmt.Sprintf("one of %d workers", n), func(p poolStatus) bool {
				w := p.Workers
				return w.Max == n && w.Idle+w.Busy == n && w.Starting+w.Stopping+w.Draining == 0
			})
			if p.Generation != before.Generation {
				if b.name == singleLean.name || n <= slots {
					t.Errorf("generation %d has become %d for %d workers after %d", before.Generation, p.Generation, n, before.Workers.Max)
				}
				slots = n
			} else if kept := len(common(pids(before), pids(p))); kept != min(n, before.Workers.Max) {
				t.Errorf("%d workers after %d: %v, of which only %d are of %v", n, before.Workers.Max, pids(p), kept, pids(before))
			}
			before = p
			l.more(5)
		}
		l.end()
		s.wantProcesses(b, before.Workers.Max)
		s.wantNoneFailed()
	})
}

// common is what is in both.
func common(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(n int) bool { return !slices.Contains(b, n) })
}

// TestNoRequestIsLostByReloadsThatChangeAnINISetting wants each request to run
// with the settings of the configuration in force: once one has seen the new
// ones, none that begins later sees the old ones.
func TestNoRequestIsLostByReloadsThatChangeAnINISetting(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		marked := func(n int) string {
			return loadSite(b, "manager static", "workers 3", fmt.Sprintf("ini user_agent %d", n))
		}
		s := start(t, b, marked(0))
		l := s.load(checkScript, 4)
		before := s.pool()
		for i := range rounds(20) {
			l.allow(i + 1)
			s.mustReload(marked(i + 1))
			l.set(i + 1)
			p := s.pool()
			if p.Generation <= before.Generation {
				t.Errorf("generation %d after generation %d", p.Generation, before.Generation)
			}
			before = p
			l.more(10)
		}
		l.end()
		s.wantOnly(b, 3)
		s.wantNoneFailed()
	})
}

// TestWhatPHPIsStartedFromCountsAsAChange reloads the same configuration while
// php.ini and php-cgi change behind it.
func TestWhatPHPIsStartedFromCountsAsAChange(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		site := ownPHP(s, b, "manager static", "workers 2")
		if err := s.run(site); err != nil {
			t.Fatal(err)
		}
		l := s.load(checkScript, 4)
		before := s.pool()
		l.allow(1)
		setMark(s, 1)
		s.mustReload(site)
		l.set(1)
		p := s.pool()
		if p.Generation <= before.Generation {
			t.Errorf("an edited php.ini has left generation %d", p.Generation)
		}
		p = s.wantOnly(b, 2)
		s.mustReload(site)
		s.wantUnchanged(p)
		newPHP(s)
		s.mustReload(site)
		if got := s.pool().Generation; got <= p.Generation {
			t.Errorf("another php-cgi has left generation %d", got)
		}
		l.end()
		s.wantOnly(b, 2)
		s.wantNoneFailed()
	})
}

// ownPHP is a load's site with a php-cgi, a php.ini and a scan directory that
// the test may change.
func ownPHP(s *server, b backend, lines ...string) string {
	s.t.Helper()
	newPHP(s)
	setMark(s, 0)
	writeFile(s.t, filepath.Join(s.dir, "conf.d", "opcache.ini"), "zend_extension=opcache\n")
	return loadSite(b, append([]string{"binary {$DIR}/php-cgi", "ini_file {$DIR}/php.ini", "ini_scan_dir {$DIR}/conf.d"}, lines...)...)
}

// setMark writes the php.ini of ownPHP anew.
func setMark(s *server, mark int, lines ...string) {
	s.t.Helper()
	replaceFile(s.t, filepath.Join(s.dir, "php.ini"), fmt.Sprintf("user_agent=%d\n%s\n", mark, strings.Join(lines, "\n")), 0o644)
}

// newPHP puts a copy of php-cgi where ownPHP wants it, as an upgrade does.
func newPHP(s *server) {
	s.t.Helper()
	replaceFile(s.t, filepath.Join(s.dir, "php-cgi"), readFile(s.t, phpCGI(s.t)), 0o755)
}

// TestAPoolThatAReloadRemovesServesItsRequests renames the pool while one
// request runs in it and one waits.
func TestAPoolThatAReloadRemovesServesItsRequests(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := start(t, b, poolSite(b, "workers 1"))
		h := s.hold("gate")
		h.add("")
		h.ran(1)
		h.add("")
		s.poolBecomes("one waits", func(p poolStatus) bool { return p.Queue.Length == 1 })
		renamed := strings.Replace(poolSite(b, "workers 1"), "name main", "name other", 1)
		if err := s.reload(renamed); err != nil {
			t.Fatal(err)
		}
		s.get("/hello.php").want(t, 200, "hello\n")
		h.release()
		h.want(0, 200)
		h.want(1, 200)
	})
}
