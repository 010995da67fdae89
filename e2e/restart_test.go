//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoRequestIsLostByRestarts wants each generation to be another one, started
// from php.ini as it is then, and none to answer once the next one has.
func TestNoRequestIsLostByRestarts(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		site := ownPHP(s, b, "manager static", "workers 3")
		if err := s.run(site); err != nil {
			t.Fatal(err)
		}
		l := s.load(checkScript, 4)
		before := s.pool()
		for i := range rounds(20) {
			l.allow(i + 1)
			setMark(s, i+1)
			if err := s.restart(); err != nil {
				t.Fatal(err)
			}
			l.set(i + 1)
			p := s.pool()
			if p.Generation <= before.Generation {
				t.Errorf("generation %d after generation %d", p.Generation, before.Generation)
			}
			before = p
			l.more(10)
		}
		before = s.wantOnly(b, 3)
		s.mustReload(site) // what the generation was started from has not changed since
		l.end()
		s.wantUnchanged(before)
		s.wantNoneFailed()
	})
}

// badStarts are what can become of what php-cgi is started from, and what the
// error must name.
var badStarts = []struct {
	name   string
	broken func(*testing.T, *server)
	says   func(*server) string
}{
	{"a preload script that does not parse", breakPreload, says("php-cgi said,PHP Parse error,preload.php")},
	{"a php.ini that is gone", func(t *testing.T, s *server) { remove(t, filepath.Join(s.dir, "php.ini")) }, says("ini_file,php.ini,no such file")},
	{"a php-cgi that is gone", func(t *testing.T, s *server) { remove(t, filepath.Join(s.dir, "php-cgi")) }, says("binary,/php-cgi,no such file")},
	{"a full runtime directory", fillRuntimeDir, func(s *server) string { return "socket of php-cgi," + runtimeDir(s) }},
}

// breakPreload lets ownPHP's php.ini preload what is no PHP.
func breakPreload(t *testing.T, s *server) {
	t.Helper()
	writeFile(t, filepath.Join(s.dir, "preload.php"), "<?php\nno PHP\n")
	setMark(s, 7, "opcache.preload="+filepath.Join(s.dir, "preload.php"), "opcache.preload_user="+phpUser(t).Username)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestARestartThatFailsLeavesEverythingAsItWas also mends what is broken, and
// then it works.
func TestARestartThatFailsLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		withRuntimeDir(s)
		if err := s.run(ownPHP(s, b, "spool_dir {$DIR}", "process_env TMPDIR {$SITE}", "manager static", "workers 3")); err != nil {
			t.Fatal(err)
		}
		before, processes := s.forked()
		l := s.load(checkScript, 4)
		for range rounds(1) {
			for _, bad := range badStarts {
				t.Run(bad.name, func(t *testing.T) {
					bad.broken(t, s)
					err := s.restart()
					if err == nil {
						t.Fatal("it was restarted")
					}
					wantSentence(t, err, strings.Split(bad.says(s), ","))
					l.more(10)
					s.wantUnchanged(before)
					eventually(t, func() error {
						if got := fmt.Sprint(s.php()); got != processes {
							return fmt.Errorf("the processes are\n%s\nand were\n%s", got, processes)
						}
						return nil
					})
				})
				newPHP(s)
				setMark(s, 0)
			}
		}
		res := s.admin("GET", "/php_pool/pools/main/restart", "")
		res.contains(t, http.StatusMethodNotAllowed, "GET", "POST")
		if got := res.Header.Get("Allow"); got != "POST" {
			t.Errorf("got Allow %q, want POST", got)
		}
		s.admin("POST", "/php_pool/pools/other/restart", "").contains(t, http.StatusNotFound, "other")
		s.wantUnchanged(before)
		l.allow(8)
		setMark(s, 8)
		if err := s.restart(); err != nil {
			t.Fatal(err)
		}
		l.set(8)
		l.end()
		s.wantOnly(b, 3)
		s.wantNoneFailed()
	})
}

// TestNoRequestIsLostByWhatWatchDoes edits what php-cgi is started from, and
// asks for nothing.
func TestNoRequestIsLostByWhatWatchDoes(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		if err := s.run(ownPHP(s, b, "manager static", "workers 3", "watch")); err != nil {
			t.Fatal(err)
		}
		l := s.load(checkScript, 3)
		conf := func(name string) string { return filepath.Join(s.dir, "conf.d", name) }
		mark := 0
		for range rounds(1) {
			for _, edit := range []struct {
				what string // the file that the log names: it, or the directory that it is in
				do   func()
			}{
				{"php.ini", func() { setMark(s, mark) }},
				{"conf.d", func() { writeFile(t, conf("zz.ini"), fmt.Sprintf("user_agent=%d\n", mark)) }},
				{"conf.d/zz.ini", func() { writeFile(t, conf("zz.ini"), fmt.Sprintf("user_agent = %d\n", mark)) }},
				{"php-cgi", func() { newPHP(s) }},
				{"conf.d", func() { setMark(s, mark); remove(t, conf("zz.ini")) }},
			} {
				before := s.pool()
				if edit.what != "php-cgi" {
					mark++
				}
				l.allow(mark)
				edit.do()
				s.poolBecomes("a new generation because of "+edit.what, func(p poolStatus) bool { return p.Generation > before.Generation && len(p.List) >= 3 })
				eventually(t, func() error {
					entries := s.logged("a new generation serves")
					if len(entries) == 0 || !strings.Contains(fmt.Sprint(entries[len(entries)-1]["why"]), filepath.Join(s.dir, edit.what)) {
						return fmt.Errorf("the log does not name %s: %v", edit.what, entries)
					}
					return nil
				})
				l.set(mark)
				l.more(10)
				s.wantOnly(b, 3)
			}
		}
		before := s.pool()
		const refused = "php-cgi or its settings have changed, but no new generation can be started; the old one goes on"
		breakPreload(t, s)
		eventually(t, func() error {
			if len(s.logged(refused)) == 0 {
				return errNoEntry
			}
			return nil
		})
		l.more(400) // of some seconds: it is not tried again and again
		s.wantUnchanged(before)
		if got := s.logged(refused); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["error"]), "PHP Parse error") {
			t.Errorf("got log entries %v, want one with php-cgi's words", got)
		}
		mark++
		l.allow(mark)
		setMark(s, mark)
		s.poolBecomes("a new generation", func(p poolStatus) bool { return p.Generation > before.Generation })
		l.end()
		s.wantOnly(b, 3)
		s.wantNoneFailed()
	})
}
