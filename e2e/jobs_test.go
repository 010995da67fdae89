//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// startJob requests a script that starts a background job and responds with its pid.
func startJob(t *testing.T, s *harness.Server) (pid int) {
	t.Helper()
	harness.WriteFile(t, filepath.Join(s.Site, "job.php"), `<?php echo exec('sleep 1000 >/dev/null 2>&1 & echo $!');`)
	response := s.Get("/job.php")
	pid, err := strconv.Atoi(response.Text)
	if err != nil || !isRunning(pid) {
		t.Fatalf("got the response %q", response.Text)
	}
	return pid
}

// isRunning reports whether the process is a sleep that has not ended.
func isRunning(pid int) bool {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(command), "sleep")
}

// TestJobs_OutliveWorkers restarts the pool and reloads another ini setting: what a
// script has started lives on, as after SIGUSR2 for php-fpm, until Caddy ends.
func TestJobs_OutliveWorkers(t *testing.T) {
	t.Parallel()
	t.Run("php-fpm", func(t *testing.T) {
		t.Parallel()
		s := harness.Start(t, harness.FPM, harness.PlainSite)
		job := startJob(t, s)
		defer func() { _ = syscall.Kill(job, syscall.SIGKILL) }()
		before := s.Get("/pid.php").Text
		s.FPM.Signal(syscall.SIGUSR2)
		harness.Eventually(t, func() error {
			if now := s.Get("/pid.php"); now.StatusCode != 200 || now.Text == before {
				return fmt.Errorf("the worker %s serves", now.Text)
			}
			return nil
		})
		if !isRunning(job) {
			t.Error("SIGUSR2 for php-fpm ends the job")
		}
	})
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
				s := harness.Start(t, b, harness.PoolSite(b))
				jobs := []int{startJob(t, s)}
				if err := s.Restart(); err != nil {
					t.Fatal(err)
				}
				jobs = append(jobs, startJob(t, s))
				old := s.Pool()
				if err := s.Reload(harness.PoolSite(b, "ini user_agent another")); err != nil {
					t.Fatal(err)
				}
				jobs = append(jobs, startJob(t, s))
				for _, w := range old.List { // those of the old generation have ended
					harness.Eventually(t, func() error {
						if _, err := os.Stat(fmt.Sprintf("/proc/%d/fd", w.PID)); err == nil {
							return fmt.Errorf("the old worker %d runs", w.PID)
						}
						return nil
					})
				}
				for _, pid := range jobs {
					if !isRunning(pid) {
						t.Errorf("the job %d of %v has ended", pid, jobs)
					}
				}
				s.Stop(sig) // it checks that nothing is left
				for _, pid := range jobs {
					if isRunning(pid) {
						t.Errorf("the job %d of %v has outlived Caddy", pid, jobs)
					}
				}
			})
		})
	}
}
