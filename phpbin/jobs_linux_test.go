package phpbin_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// startJobs makes a worker start background jobs, and returns their pids: a program
// that is quiet, one that writes to the stdout and stderr of the worker, and a
// php-cgi.
func startJobs(t *testing.T, p *phpbin.Process, dir string) []int {
	t.Helper()
	script := filepath.Join(dir, "job.php")
	if err := os.WriteFile(script, []byte(`<?php sleep(1000);`), 0o644); err != nil {
		t.Fatal(err)
	}
	text := eval(t, p, `echo exec('sleep 1000 >/dev/null 2>&1 & echo $!'), ' ';
		proc_close(proc_open('while echo tick && echo tock >&2; do sleep 0.05; done & echo $! >`+dir+`/pid', [], $pipes));
		echo trim(file_get_contents('`+dir+`/pid')), ' ';
		echo exec(PHP_BINARY . ' -q `+script+` >/dev/null 2>&1 & echo $!');`)
	var pids []int
	for field := range strings.FieldsSeq(text) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("the script responded %q", text)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 3 {
		t.Fatalf("the script responded %q, want three pids", text)
	}
	return pids
}

func running(pids []int) (list []int) {
	for _, pid := range pids {
		if fields := stat(pid); fields != nil && fields[0] != "Z" {
			list = append(list, pid)
		}
	}
	return list
}

// commands returns the command lines of the processes of a group.
func commands(pgid int) (list []string) {
	for _, pid := range group(pgid) {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		list = append(list, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return list
}

func TestClose_LeavesJobs(t *testing.T) {
	forKindsAndUsers(t, func(t *testing.T, kind string, o phpbin.Options) {
		t.Helper()
		var output entries
		o.Output = output.add
		o.INI = enablePCNTL
		t.Cleanup(func() {
			if err := phpbin.KillJobs(); err != nil {
				t.Error(err)
			}
		})
		l := startLauncher(t, kind, o)
		p := mustLaunch(t, l)
		pgid := groupOf(t, p.PID())
		dir := worldWritableDir(t)
		jobs := startJobs(t, p, dir)
		file := filepath.Join(dir, "copy")
		run(t, mustLaunch(t, l), "fork.php", map[string][]string{"file": {file}})
		eventually(t, waitLimit, "copied", func() bool { return len(pidsInFile(file)) == 1 })

		if err := l.Close(testContext(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
		if got := running(jobs); !slices.Equal(got, jobs) {
			t.Errorf("after Close, of the jobs %v only %v run", jobs, got)
		}
		if left := running(pidsInFile(file)); len(left) > 0 {
			t.Errorf("after Close, the copy of a worker runs: %v", left)
		}
		left := commands(pgid)
		for _, command := range left {
			if strings.Contains(command, " -b ") {
				t.Errorf("after Close: %q", command)
			}
		}
		if len(left) < 4 { // and the watchdog, and what the jobs have started
			t.Errorf("after Close: %q", left)
		}
		ticks := strings.Count(output.String(), "tick")
		eventually(t, waitLimit, "writing", func() bool { return strings.Count(output.String(), "tick") > ticks })

		if err := phpbin.KillJobs(); err != nil {
			t.Errorf("KillJobs: %v", err)
		}
		if got := group(pgid); len(got) > 0 {
			t.Errorf("after KillJobs: %q", commands(pgid))
		}
	})
}

func pidsInFile(file string) (pids []int) {
	data, _ := os.ReadFile(file)
	if pid, _ := strconv.Atoi(string(data)); pid != 0 {
		pids = append(pids, pid)
	}
	return pids
}

// The watchdog of a closed launcher ends with its last job, and so do the readers of
// its output (startLauncher checks that).
func TestClose_JobsEnd(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			pgid := groupOf(t, p.PID())
			jobs := startJobs(t, p, worldWritableDir(t))
			if err := l.Close(testContext(t)); err != nil {
				t.Errorf("Close: %v", err)
			}
			for _, pid := range jobs {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			eventually(t, waitLimit, "ended", func() bool { return len(group(pgid)) == 0 })
		})
	}
}

// A job that ignores TERM is killed.
func TestKillJobs_Stubborn(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			pgid := groupOf(t, p.PID())
			eval(t, p, `exec('trap "" TERM HUP; sleep 1000 >/dev/null 2>&1 & echo');`)
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // the jobs stay even if Close has no time
			if err := l.Close(ctx); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := group(pgid); len(got) < 2 {
				t.Errorf("after Close: %q", commands(pgid))
			}
			if err := phpbin.KillJobs(); err != nil {
				t.Errorf("KillJobs: %v", err)
			}
			if got := group(pgid); len(got) > 0 {
				t.Errorf("after KillJobs: %q", commands(pgid))
			}
		})
	}
}

// A worker's exit does not end its jobs, even if they write.
func TestStop_LeavesJobs(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var output entries
			o := options(t)
			o.Output = output.add
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			jobs := startJobs(t, p, worldWritableDir(t))
			if err := p.Stop(testContext(t)); err != nil {
				t.Fatal(err)
			}
			ticks := strings.Count(output.String(), "tock")
			eventually(t, waitLimit, "writing", func() bool { return strings.Count(output.String(), "tock") > ticks+2 })
			if got := running(jobs); !slices.Equal(got, jobs) {
				t.Errorf("after Stop, of the jobs %v only %v run", jobs, got)
			}
			if err := l.Close(testContext(t)); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := phpbin.KillJobs(); err != nil {
				t.Errorf("KillJobs: %v", err)
			}
		})
	}
}

// The watchdog of a closed launcher kills its jobs when this process dies.
func TestWatchdog_KillsJobsOnParentDeath(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			output := startHelper(t, cmd, fmt.Sprintf("jobs %s %s", kind, worldWritableDir(t)))
			pgid := groupsOf(t, output)[0]
			if got := group(pgid); len(got) != 2 { // the job and the watchdog
				t.Errorf("after Close: %q", commands(pgid))
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			eventually(t, promptLimit, "gone", func() bool { return len(group(pgid)) == 0 })
		})
	}
}

// helperJobs closes a launcher of which a script has started a job.
func helperJobs(what string) error {
	kind, dir, _ := strings.Cut(what, " ")
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	path, err := phpbin.Find("")
	if err != nil {
		return err
	}
	o := phpbin.Options{Binary: path, Slots: 2, Handshake: handshake}
	var l phpLauncher
	if kind == "shared" {
		l, err = phpbin.StartShared(ctx, o)
	} else {
		l, err = phpbin.StartSingle(ctx, o)
	}
	if err != nil {
		return err
	}
	p, err := l.Launch(ctx)
	if err != nil {
		return err
	}
	pgid, err := syscall.Getpgid(p.PID())
	if err != nil {
		return err
	}
	script := filepath.Join(dir, "job.php")
	if err := os.WriteFile(script, []byte(`<?php exec('sleep 1000 >/dev/null 2>&1 &');`), 0o644); err != nil {
		return err
	}
	if err := sendPath(p.Conn(), script, nil); err != nil {
		return err
	}
	if _, _, err := receive(p.Conn()); err != nil {
		return err
	}
	if err := l.Close(ctx); err != nil {
		return err
	}
	fmt.Println("group", pgid)
	fmt.Println("ready")
	return nil
}
