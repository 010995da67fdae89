//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// stopMaster stops the master and kills its children: whatever is launched hangs, and
// nothing exits that could be noticed.
func stopMaster(s *harness.Server) (master int) {
	s.T.Helper()
	masters := s.Masters()
	if len(masters) != 1 {
		s.T.Fatalf("got masters %v, want one", masters)
	}
	children := s.WorkerProcesses()
	harness.Kill(s.T, masters[0].PID, syscall.SIGSTOP)
	for _, p := range children {
		harness.Kill(s.T, p.PID, syscall.SIGKILL)
	}
	return masters[0].PID
}

// wantExited waits until a process has exited.
func wantExited(s *harness.Server, pid int) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		for _, p := range s.PHPProcesses() {
			if p.PID == pid {
				return fmt.Errorf("still there: %v", p)
			}
		}
		return nil
	})
}

// TestMaster_Hangs stops a master whose children are killed. The next request is served
// by a new generation, without a restart, and after one, and after a reload.
func TestMaster_Hangs(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	site := func(n int) string {
		return harness.PoolSite(b, "manager static", "workers 3", "queue_timeout 15s", fmt.Sprint("ini user_agent ", n))
	}
	for name, replace := range map[string]func(*harness.Server){
		"left alone": func(*harness.Server) {},
		"restart": func(s *harness.Server) {
			if err := s.Restart(); err != nil {
				s.T.Error(err)
			}
		},
		"reload": func(s *harness.Server) { s.MustReload(site(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, b, site(1))
			s.Get("/hello.php").Want(t, 200, "hello\n")
			master := stopMaster(s)
			start := time.Now()
			replace(s)
			s.Get("/hello.php").Want(t, 200, "hello\n")
			t.Logf("served after %v", time.Since(start).Round(time.Millisecond))
			wantExited(s, master)
			s.WaitWorkers(b, 3)
		})
	}
}

// TestMaster_AllKilled kills master, watchdog and children at once, as the kernel does
// when a container is out of memory. Requests that may be repeated are served.
func TestMaster_AllKilled(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 4"))
	for round := range harness.Rounds(20) {
		s.WaitWorkers(b, 4)
		for _, p := range s.PHPProcesses() {
			syscall.Kill(p.PID, syscall.SIGKILL) // the watchdog may have killed it already
		}
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for range 10 {
					if res := s.Get("/hello.php"); res.StatusCode != 200 {
						t.Errorf("round %d: %s", round, res.Status)
					}
				}
			})
		}
		clients.Wait()
	}
}

// copyBinary copies php-cgi, so that a test can remove it.
func copyBinary(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(harness.PHPCGI(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "php-cgi")
	harness.ReplaceFile(t, path, string(text), 0o755)
	return path
}

// TestMaster_CannotBeReplaced kills the master, or a worker in single mode, when php-cgi
// cannot be started any more. The workers that are left serve until it can.
func TestMaster_CannotBeReplaced(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		binary := copyBinary(t, s.Dir)
		if err := s.Run(harness.PoolSite(b, "manager static", "workers 4", "binary "+binary)); err != nil {
			t.Fatal(err)
		}
		s.WaitWorkers(b, 4)
		if err := os.Rename(binary, binary+".away"); err != nil {
			t.Fatal(err)
		}
		if b.Name == harness.SharedLean.Name {
			harness.Kill(t, s.Masters()[0].PID, syscall.SIGKILL)
			s.WaitLogged("master process exited; starting a new generation", 1)
		} else {
			harness.Kill(t, s.Pool().List[0].PID, syscall.SIGKILL)
		}
		s.WaitLogged("cannot launch a worker; retrying", 1)
		for range 50 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		if p := s.Pool(); p.Workers.Idle < 3 {
			t.Errorf("got %+v, want the workers that were left", p.Workers)
		}
		if err := os.Rename(binary+".away", binary); err != nil {
			t.Fatal(err)
		}
		s.WaitWorkers(b, 4)
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if p := s.Pool(); p.Requests.Failed != 0 {
			t.Errorf("got %+v, want no failed request", p.Requests)
		}
	})
}
