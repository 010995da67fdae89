//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// badLoads are configurations that cannot come to power, what their surroundings
// have to be for that, and what the error must name.
var badLoads = []struct {
	name   string
	lines  string
	more   string                       // beside the site
	broken func(*testing.T, *server)    // undone when t ends
	says   func(s *server) (all string) // separated by commas
}{
	{name: "an invalid option", lines: "stop_timeout soon", says: says("stop_timeout,soon")},
	{name: "a missing binary", lines: "binary /nowhere/php-cgi", says: says("/nowhere/php-cgi")},
	{
		name: "an ini setting that php-cgi refuses", lines: "ini opcache.memory_consumption 100000000",
		says: says("php-cgi said,Unable to allocate shared memory"),
	},
	{
		name: "a preload script that does not parse", lines: "ini opcache.preload {$DIR}/preload.php\nini opcache.preload_user {$PHP_USER}",
		broken: func(t *testing.T, s *server) { writeFile(t, filepath.Join(s.dir, "preload.php"), "<?php\nno PHP\n") },
		says:   says("PHP Parse error,preload.php"),
	},
	{
		name: "a port that somebody else has", more: "http://127.0.0.1:{$PORT2} {\nrespond no\n}\n",
		broken: func(t *testing.T, s *server) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port+1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
		says: says("address already in use"),
	},
	{
		name: "a full runtime directory", broken: fillRuntimeDir,
		says: func(s *server) string { return "socket of php-cgi," + runtimeDir(s) },
	},
}

func says(all string) func(*server) string { return func(*server) string { return all } }

// runtimeDir is where Caddy keeps the sockets of php-cgi if withRuntimeDir has
// been called.
func runtimeDir(s *server) string { return filepath.Join(s.dir, "run") }

// withRuntimeDir gives Caddy a directory for temporary files of its own.
func withRuntimeDir(s *server) {
	s.t.Helper()
	if err := os.Mkdir(runtimeDir(s), 0o755); err != nil {
		s.t.Fatal(err)
	}
	giveToPHP(s.t, runtimeDir(s))
	s.opts.env = append(s.opts.env, "TMPDIR="+runtimeDir(s))
}

// fillRuntimeDir leaves no room in the runtime directory until t ends: by a disk
// of that size where we may mount one, else by taking the directory away.
func fillRuntimeDir(t *testing.T, s *server) {
	t.Helper()
	dir := runtimeDir(s)
	err := syscall.Mount("none", dir, "tmpfs", 0, "nr_inodes=1")
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return
	}
	if !errors.Is(err, syscall.EPERM) {
		t.Fatal("mounting a file system:", err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Error(err)
		}
	})
}

// TestALoadThatFailsLeavesEverythingAsItWas tries configurations with another
// size and other settings for PHP, of which none may be seen, in no order that
// Caddy starts its apps in.
func TestALoadThatFailsLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		withRuntimeDir(s)
		s.opts.env = append(s.opts.env, "PHP_USER="+phpUser(t).Username)
		site := func(workers, mark int, lines string) string {
			return loadSite(b, "spool_dir {$DIR}", "process_env TMPDIR {$SITE}", "manager static", fmt.Sprint("workers ", workers), fmt.Sprint("ini user_agent ", mark), lines)
		}
		if err := s.run(site(3, 0, "")); err != nil {
			t.Fatal(err)
		}
		before, processes := s.forked()
		l := s.load(checkScript, 4)
		for range rounds(1) {
			for _, bad := range badLoads {
				t.Run(bad.name, func(t *testing.T) {
					if bad.broken != nil {
						bad.broken(t, s)
					}
					for _, workers := range []int{1, 4, 40} {
						err := s.reload(site(workers, 7, bad.lines) + bad.more)
						if err == nil {
							t.Fatal("it was taken")
						}
						wantSentence(t, err, strings.Split(bad.says(s), ","))
					}
					l.more(10)
					s.wantUnchanged(before)
					eventually(t, func() error {
						if got := fmt.Sprint(s.php()); got != processes {
							return fmt.Errorf("the processes are\n%s\nand were\n%s", got, processes)
						}
						return nil
					})
				})
			}
		}
		l.allow(8)
		s.mustReload(site(4, 8, ""))
		l.set(8)
		l.end()
		s.wantOnly(b, 4)
		s.wantNoneFailed()
	})
}
