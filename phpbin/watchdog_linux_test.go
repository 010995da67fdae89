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

// The test binary, run again with this variable, stands in for Caddy: it starts
// php-cgi, and is then killed.
const standInEnv = "PHP_POOL_STAND_IN"

// standIn starts workers that compute for ever, or such that have forked copies
// of themselves, and says so on stdout: kind, user and a directory to write to
// are what the variable says.
func standIn() {
	if err := standInRun(os.Getenv(standInEnv)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	select {} // until killed
}

func standInRun(what string) error {
	kind, rest, _ := strings.Cut(what, " ")
	switch kind {
	case "reaper":
		return standInReaper()
	case "parent":
		return standInParent()
	case "next":
		return standInNext(rest)
	}
	user, dir, _ := strings.Cut(rest, " ")
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	path, err := phpbin.Find("")
	if err != nil {
		return err
	}
	o := phpbin.Options{Binary: path, Slots: 3, Handshake: handshake, RuntimeDir: dir}
	name := "spin.php"
	if kind == "copies" {
		name = "fork.php"
	}
	if uid, _ := strconv.Atoi(user); uid != 0 && uid != os.Getuid() {
		o.Credential = &phpbin.Credential{UID: uint32(uid), GID: uint32(uid)}
	}
	var l launcher
	if kind == "shared" {
		l, err = phpbin.StartShared(ctx, o)
	} else {
		l, err = phpbin.StartSingle(ctx, o)
	}
	if err != nil {
		return err
	}
	for range 2 { // in shared a third child stands by
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

// standInReaper inherits orphans, as process 1 of a container does, loses its
// master, and closes.
func standInReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), soon)
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
	if n := len(children(os.Getpid())); n < 5 { // four, the watchdog, and what else was forked already
		return fmt.Errorf("%d children", n)
	}
	now, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := l.Close(now); err != nil {
		return err
	}
	if left := children(os.Getpid()); len(left) > 0 { // zombies count
		return fmt.Errorf("left: %v", left)
	}
	fmt.Println("ready")
	return nil
}

// runStandIn starts this binary anew and returns what it says up to "ready".
func runStandIn(t *testing.T, cmd *exec.Cmd, what string) []string {
	t.Helper()
	php(t) // the stand-in needs one
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, standInEnv+"="+what)
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
	var said []string
	for out := bufio.NewScanner(stdout); out.Scan(); {
		if out.Text() == "ready" {
			return said
		}
		said = append(said, out.Text())
	}
	t.Fatalf("the stand-in says %q", said)
	return nil
}

func groupsOf(t *testing.T, said []string) []int {
	t.Helper()
	var groups []int
	for _, line := range said {
		number, ok := strings.CutPrefix(line, "group ")
		pgid, err := strconv.Atoi(number)
		if !ok || err != nil {
			t.Fatalf("the stand-in says %q", line)
		}
		groups = append(groups, pgid)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

func TestOrphansThatBecomeOursAreReaped(t *testing.T) {
	runStandIn(t, exec.Command(os.Args[0]), "reaper")
}

// PHP does not get the terminal that its parent is run from.
func TestPHPHasNoTerminal(t *testing.T) {
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
			said := runStandIn(t, cmd, fmt.Sprintf("%s %d %s", kind, os.Getuid(), openDir(t)))
			const terminal = 4 // tty_nr
			if stat(cmd.Process.Pid)[terminal] == "0" {
				t.Fatal("the stand-in has none itself")
			}
			for _, pgid := range groupsOf(t, said) {
				for _, pid := range group(pgid) {
					command, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
					if stat(pid)[terminal] != "0" && !strings.Contains(string(command), "watchdog") {
						t.Errorf("%d has: %q", pid, command)
					}
				}
				if n := len(group(pgid)); n < 3 {
					t.Errorf("group %d has %d processes", pgid, n)
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for _, pgid := range groupsOf(t, said) {
				eventually(t, prompt, "gone", func() bool { return len(group(pgid)) == 0 })
			}
		})
	}
}

func TestNoPHPSurvivesUs(t *testing.T) {
	for _, kind := range []string{"shared", "single"} {
		for _, uid := range []int{0, 33} {
			if uid != 0 && os.Getuid() != 0 {
				continue // only root can become another user
			}
			for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
				t.Run(fmt.Sprintf("%s as %d by %v", kind, uid, sig), func(t *testing.T) {
					cmd := exec.Command(os.Args[0])
					said := runStandIn(t, cmd, fmt.Sprintf("%s %d %s", kind, uid, openDir(t)))
					_ = cmd.Process.Signal(sig)
					_ = cmd.Wait()
					died := time.Now()
					for _, pgid := range groupsOf(t, said) {
						eventually(t, prompt, fmt.Sprintf("without a process in group %d", pgid), func() bool {
							return len(group(pgid)) == 0
						})
					}
					t.Logf("all gone after %v", time.Since(died))
				})
			}
		}
	}
}
