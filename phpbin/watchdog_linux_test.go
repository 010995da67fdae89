package phpbin_test

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// helperEnv makes the test binary a helper process, which stands for Caddy: it starts
// php-cgi, and the test then kills it.
const helperEnv = "PHP_POOL_TEST_HELPER"

// helperMain starts workers that compute forever, or that have forked copies of
// themselves, and prints their process groups. The variable contains the kind, the
// user and a directory to write to.
func helperMain() {
	if err := runHelper(os.Getenv(helperEnv)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	select {} // until it is killed
}

func runHelper(what string) error {
	kind, rest, _ := strings.Cut(what, " ")
	switch kind {
	case "reaper":
		return helperReaper()
	case "parent":
		return helperParent()
	case "jobs":
		return helperJobs(rest)
	case "next":
		return helperNext(rest)
	}
	user, dir, _ := strings.Cut(rest, " ")
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	path, err := phpbin.Find("")
	if err != nil {
		return err
	}
	o := phpbin.Options{Binary: path, Slots: 3, Handshake: handshake, RuntimeDir: dir, INI: enablePCNTL}
	name := "spin.php"
	if kind == "copies" {
		name = "fork.php"
	}
	if uid, _ := strconv.Atoi(user); uid != 0 && uid != os.Getuid() {
		o.Credential = &phpbin.Credential{UID: uint32(uid), GID: uint32(uid)}
	}
	var l phpLauncher
	if kind == "shared" {
		l, err = phpbin.StartShared(ctx, o)
	} else {
		l, err = phpbin.StartSingle(ctx, o)
	}
	if err != nil {
		return err
	}
	for range 2 { // in shared mode a third child stays unused
		p, err := l.Launch(ctx)
		if err != nil {
			return err
		}
		script, err := filepath.Abs(filepath.Join("testdata", name))
		if err != nil {
			return err
		}
		file := filepath.Join(dir, strconv.Itoa(p.PID()))
		if err := sendPath(p.Conn(), script, url.Values{"file": {file}}); err != nil {
			return err
		}
		for {
			if _, err := os.Stat(file); err == nil {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			time.Sleep(2 * time.Millisecond)
		}
		pgid, err := syscall.Getpgid(p.PID())
		if err != nil {
			return err
		}
		fmt.Println("group", pgid)
	}
	fmt.Println("ready")
	return nil
}

// helperReaper inherits orphans, as process 1 of a container does. Its master exits,
// and then Close must reap the children.
func helperReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	path, err := phpbin.Find("")
	if err != nil {
		return err
	}
	l, err := phpbin.StartShared(ctx, phpbin.Options{Binary: path, Slots: 8, Handshake: handshake})
	if err != nil {
		return err
	}
	for range 4 {
		if _, err := l.Launch(ctx); err != nil {
			return err
		}
	}
	if err := syscall.Kill(l.MasterPID(), syscall.SIGKILL); err != nil {
		return err
	}
	<-l.Done()
	if n := len(children(os.Getpid())); n < 5 { // four workers, the watchdog, and unused children
		return fmt.Errorf("%d children, want 5 at least", n)
	}
	now, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := l.Close(now); err != nil {
		return err
	}
	if left := children(os.Getpid()); len(left) > 0 { // including zombies
		return fmt.Errorf("children after Close: %v", left)
	}
	fmt.Println("ready")
	return nil
}

// startHelper starts a helper process and returns its output up to "ready".
func startHelper(t *testing.T, cmd *exec.Cmd, what string) []string {
	t.Helper()
	php(t) // skips or fails the test if php-cgi is missing
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, helperEnv+"="+what)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var output []string
	for out := bufio.NewScanner(stdout); out.Scan(); {
		if out.Text() == "ready" {
			return output
		}
		output = append(output, out.Text())
	}
	t.Fatalf("the helper process printed %q", output)
	return nil
}

// groupsOf parses the process groups in the output of a helper process.
func groupsOf(t *testing.T, output []string) []int {
	t.Helper()
	var groups []int
	for _, line := range output {
		number, ok := strings.CutPrefix(line, "group ")
		pgid, err := strconv.Atoi(number)
		if !ok || err != nil {
			t.Fatalf("the helper process printed %q", line)
		}
		groups = append(groups, pgid)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

func TestReaper_CloseAfterMasterExit(t *testing.T) {
	startHelper(t, exec.Command(os.Args[0]), "reaper")
}

// PHP must not get the terminal of its parent.
func TestTerminal_Detached(t *testing.T) {
	for _, kind := range []string{"shared", "single"} {
		t.Run(kind, func(t *testing.T) {
			ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ptmx.Close()
			if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
				t.Fatal(err)
			}
			n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
			if err != nil {
				t.Fatal(err)
			}
			tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer tty.Close()
			cmd := exec.Command(os.Args[0])
			cmd.Stdin = tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			output := startHelper(t, cmd, fmt.Sprintf("%s %d %s", kind, os.Getuid(), worldWritableDir(t)))
			const terminal = 4 // tty_nr
			if stat(cmd.Process.Pid)[terminal] == "0" {
				t.Fatal("the helper process has no terminal")
			}
			for _, pgid := range groupsOf(t, output) {
				for _, pid := range group(pgid) {
					command, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
					if stat(pid)[terminal] != "0" && !strings.Contains(string(command), "watchdog") {
						t.Errorf("process %d has the terminal: %q", pid, command)
					}
				}
				if n := len(group(pgid)); n < 3 {
					t.Errorf("group %d: got %d processes, want 3 at least", pgid, n)
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for _, pgid := range groupsOf(t, output) {
				eventually(t, promptLimit, "gone", func() bool { return len(group(pgid)) == 0 })
			}
		})
	}
}

func TestWatchdog_KillsGroupOnParentDeath(t *testing.T) {
	for _, kind := range []string{"shared", "single"} {
		for _, uid := range []int{0, 33} {
			if uid != 0 && os.Getuid() != 0 {
				continue // only root can become another user
			}
			for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
				t.Run(fmt.Sprintf("%s as %d by %v", kind, uid, sig), func(t *testing.T) {
					cmd := exec.Command(os.Args[0])
					output := startHelper(t, cmd, fmt.Sprintf("%s %d %s", kind, uid, worldWritableDir(t)))
					_ = cmd.Process.Signal(sig)
					_ = cmd.Wait()
					died := time.Now()
					for _, pgid := range groupsOf(t, output) {
						eventually(t, promptLimit, fmt.Sprintf("without a process in group %d", pgid), func() bool {
							return len(group(pgid)) == 0
						})
					}
					t.Logf("all gone after %v", time.Since(died))
				})
			}
		}
	}
}
