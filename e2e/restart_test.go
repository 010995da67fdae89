//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestRestart_UnderLoad checks that each restart starts a new generation with the current
// php.ini, and that no older one serves after it.
func TestRestart_UnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		site := customPHP(s, b, "manager static", "workers 3")
		if err := s.Run(site); err != nil {
			t.Fatal(err)
		}
		l := s.StartTraffic(checkScript, 4)
		before := s.Pool()
		for i := range harness.Rounds(20) {
			l.AllowMark(i + 1)
			setMark(s, i+1)
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			l.RequireMark(i + 1)
			p := s.Pool()
			if p.Generation <= before.Generation {
				t.Errorf("generation %d after generation %d", p.Generation, before.Generation)
			}
			before = p
			l.WaitRequests(10)
		}
		before = s.WaitWorkers(b, 3)
		if want := harness.Rounds(20); before.Restarts != want {
			t.Errorf("got %d restarts, want %d", before.Restarts, want)
		}
		s.MustReload(site) // the files of the generation have not changed since
		l.Finish()
		s.WantUnchanged(before)
		s.WantNoneFailed()
	})
}

// failingRestarts are changes of the files that php-cgi is started from, and what the
// error must name.
var failingRestarts = []struct {
	name   string
	broken func(*testing.T, *harness.Server)
	says   func(*harness.Server) string
}{
	{"a preload script that does not parse", breakPreload, says("php-cgi said,PHP Parse error,preload.php")},
	{"a php.ini that is gone", func(t *testing.T, s *harness.Server) { remove(t, filepath.Join(s.Dir, "php.ini")) }, says("ini_file,php.ini,no such file")},
	{"a php-cgi that is gone", func(t *testing.T, s *harness.Server) { remove(t, filepath.Join(s.Dir, "php-cgi")) }, says("binary,/php-cgi,no such file")},
	{"a full runtime directory", fillRuntimeDir, func(s *harness.Server) string { return "creating a directory," + runtimeDir(s) }},
}

// breakPreload lets customPHP's php.ini preload a script that does not parse.
func breakPreload(t *testing.T, s *harness.Server) {
	t.Helper()
	harness.WriteFile(t, filepath.Join(s.Dir, "preload.php"), "<?php\nno PHP\n")
	setMark(s, 7, "opcache.preload="+filepath.Join(s.Dir, "preload.php"), "opcache.preload_user="+harness.PHPUser(t).Username)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestRestart_FailureChangesNothing then repairs the files, and checks that a restart
// works.
func TestRestart_FailureChangesNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		withRuntimeDir(s)
		if err := s.Run(customPHP(s, b, "spool_dir {$DIR}", "process_env TMPDIR {$SITE}", "manager static", "workers 3")); err != nil {
			t.Fatal(err)
		}
		before, processes := s.WaitForked()
		l := s.StartTraffic(checkScript, 4)
		for range harness.Rounds(1) {
			for _, bad := range failingRestarts {
				t.Run(bad.name, func(t *testing.T) {
					bad.broken(t, s)
					err := s.Restart()
					if err == nil {
						t.Fatal("the restart succeeded")
					}
					harness.WantMessage(t, err, strings.Split(bad.says(s), ","))
					l.WaitRequests(10)
					s.WantUnchanged(before)
					harness.Eventually(t, func() error {
						if got := fmt.Sprint(s.PHPProcesses()); got != processes {
							return fmt.Errorf("the processes are\n%s\nand were\n%s", got, processes)
						}
						return nil
					})
				})
				newPHP(s)
				setMark(s, 0)
			}
		}
		res := s.Admin("GET", "/php_pool/pools/main/restart", "")
		res.WantContains(t, http.StatusMethodNotAllowed, "GET", "POST")
		if got := res.Header.Get("Allow"); got != "POST" {
			t.Errorf("got Allow %q, want POST", got)
		}
		s.Admin("POST", "/php_pool/pools/other/restart", "").WantContains(t, http.StatusNotFound, "other")
		s.WantUnchanged(before)
		l.AllowMark(8)
		setMark(s, 8)
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		l.RequireMark(8)
		l.Finish()
		s.WaitWorkers(b, 3)
		s.WantNoneFailed()
	})
}

// TestWatch_UnderLoad edits the files that php-cgi is started from, without a request for
// a restart.
func TestWatch_UnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		if err := s.Run(customPHP(s, b, "manager static", "workers 3", "watch")); err != nil {
			t.Fatal(err)
		}
		l := s.StartTraffic(checkScript, 3)
		conf := func(name string) string { return filepath.Join(s.Dir, "conf.d", name) }
		mark := 0
		for range harness.Rounds(1) {
			for _, edit := range []struct {
				what string // the file or directory that the log names
				do   func()
			}{
				{"php.ini", func() { setMark(s, mark) }},
				{"conf.d", func() { harness.WriteFile(t, conf("zz.ini"), fmt.Sprintf("user_agent=%d\n", mark)) }},
				{"conf.d/zz.ini", func() { harness.WriteFile(t, conf("zz.ini"), fmt.Sprintf("user_agent = %d\n", mark)) }},
				{"php-cgi", func() { newPHP(s) }},
				{"conf.d", func() { setMark(s, mark); remove(t, conf("zz.ini")) }},
			} {
				before := s.Pool()
				if edit.what != "php-cgi" {
					mark++
				}
				l.AllowMark(mark)
				edit.do()
				s.WaitPool("a new generation because of "+edit.what, func(p harness.PoolStatus) bool { return p.Generation > before.Generation && len(p.List) >= 3 })
				harness.Eventually(t, func() error {
					entries := s.Logged("new generation active")
					if len(entries) == 0 || !strings.Contains(fmt.Sprint(entries[len(entries)-1]["reason"]), filepath.Join(s.Dir, edit.what)) {
						return fmt.Errorf("the log does not name %s: %v", edit.what, entries)
					}
					return nil
				})
				l.RequireMark(mark)
				l.WaitRequests(10)
				s.WaitWorkers(b, 3)
			}
		}
		before := s.Pool()
		const failed = "watch: php-cgi or its settings changed, but the new generation failed to start; keeping the old one"
		breakPreload(t, s)
		harness.Eventually(t, func() error {
			if len(s.Logged(failed)) == 0 {
				return errNoEntry
			}
			return nil
		})
		l.WaitRequests(400) // these take some seconds, in which it is not tried again
		s.WantUnchanged(before)
		if got := s.Logged(failed); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["error"]), "PHP Parse error") {
			t.Errorf("got log entries %v, want one with php-cgi's words", got)
		}
		mark++
		l.AllowMark(mark)
		setMark(s, mark)
		s.WaitPool("a new generation", func(p harness.PoolStatus) bool { return p.Generation > before.Generation })
		l.Finish()
		s.WaitWorkers(b, 3)
		s.WantNoneFailed()
	})
}
