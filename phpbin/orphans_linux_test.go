package phpbin_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// killWithWatchdog kills a stand-in and its watchdog, which goes first.
func killWithWatchdog(t *testing.T, cmd *exec.Cmd, pgid int) {
	t.Helper()
	t.Cleanup(func() {
		if len(group(pgid)) > 0 { // the test has failed
			_ = syscall.Kill(-pgid, syscall.SIGKILL)
		}
	})
	killed := 0
	for _, pid := range group(pgid) {
		command, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(command), "php-pool-watchdog") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, soon, "dead", func() bool { return !slices.Contains(group(pgid), pid) })
			killed++
		}
	}
	if killed != 1 {
		t.Fatalf("%d watchdogs in group %d", killed, pgid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// said by the scripts of a stand-in, in files: the numbers of those that compute,
// or of the copies.
func saidIn(t *testing.T, dir string, pgid int) []int {
	t.Helper()
	files, err := filepath.Glob(dir + "/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if pid, _ := strconv.Atoi(string(data)); slices.Contains(group(pgid), pid) {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

func pidsOf(ended []phpbin.Orphan) []int {
	var list []int
	for _, l := range ended {
		list = append(list, l.PID)
	}
	slices.Sort(list)
	return list
}

func TestWhatAKilledProcessLeavesIsEnded(t *testing.T) {
	for _, kind := range []string{"shared", "single", "copies"} {
		for _, uid := range []int{0, 33} {
			if uid != 0 && os.Getuid() != 0 {
				continue // only root can become another user
			}
			t.Run(fmt.Sprintf("%s as %d", kind, uid), func(t *testing.T) {
				dir := openDir(t)
				cmd := exec.Command(os.Args[0])
				pgid := groupsOf(t, runStandIn(t, cmd, fmt.Sprintf("%s %d %s", kind, uid, dir)))[0]
				neighbour := groupsOf(t, runStandIn(t, exec.Command(os.Args[0]), fmt.Sprintf("shared %d %s", uid, dir)))[0]
				var alive []int
				eventually(t, soon, "master, watchdog and three children", func() bool {
					alive = group(neighbour)
					return len(alive) == 5
				})
				left := saidIn(t, dir, pgid)
				if len(left) != 2 {
					t.Fatalf("%v compute in group %d, want two", left, pgid)
				}
				if kind == "single" {
					left = nil // their death signal is KILL
				}
				killWithWatchdog(t, cmd, pgid)
				eventually(t, soon, "left with what does not hear a signal", func() bool {
					return slices.Equal(group(pgid), left)
				})
				ended, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
				if got := pidsOf(ended); err != nil || !slices.Equal(got, left) {
					t.Errorf("ended %v, error %v, want %v", got, err, left)
				}
				for _, l := range ended {
					if l.OwnerPID != cmd.Process.Pid || !strings.Contains(l.Binary, "php") {
						t.Errorf("got %+v of %d", l, cmd.Process.Pid)
					}
				}
				eventually(t, soon, "gone", func() bool { return len(group(pgid)) == 0 })
				if now := group(neighbour); !slices.Equal(now, alive) {
					t.Errorf("of a process that lives there were %v and are %v", alive, now)
				}
			})
		}
	}
}

// A program that changes its group as it starts has no death signal, nor has one
// that SELinux or AppArmor gives another context: prctl(2), PR_SET_PDEATHSIG.
func TestAMasterThatIsLeftIsEndedWithItsChildren(t *testing.T) {
	who := wwwData(t)
	dir := openDir(t)
	program := copyProgram(t, filepath.Join(dir, "php-cgi"))
	if err := errors.Join(os.Chown(program, -1, 34), os.Chmod(program, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	pgid := groupsOf(t, runStandIn(t, cmd, fmt.Sprintf("shared %d %s", who.UID, dir)))[0]
	eventually(t, soon, "master, watchdog and three children", func() bool { return len(group(pgid)) == 5 })
	killWithWatchdog(t, cmd, pgid)
	left := group(pgid)
	if len(left) != 4 || !slices.Contains(left, pgid) {
		t.Fatalf("left are %v, want the master %d and three children", left, pgid)
	}
	ended, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	got := pidsOf(ended)
	for _, pid := range left { // the master may have forked anew
		if !slices.Contains(got, pid) {
			t.Errorf("%d was not ended, but %v", pid, got)
		}
	}
	if err != nil {
		t.Error(err)
	}
	eventually(t, soon, "gone", func() bool { return len(group(pgid)) == 0 })
}

// Root in an ordinary container may not look at the processes of others.
func TestRootNeedsNoPrivilegeToFindWhatIsLeft(t *testing.T) {
	wwwData(t)
	dir := openDir(t)
	cmd := exec.Command(os.Args[0])
	pgid := groupsOf(t, runStandIn(t, cmd, "shared 33 "+dir))[0]
	left := saidIn(t, dir, pgid)
	killWithWatchdog(t, cmd, pgid)
	eventually(t, soon, "left with what computes", func() bool { return slices.Equal(group(pgid), left) })
	var want []string
	for _, pid := range left {
		want = append(want, strconv.Itoa(pid))
	}
	said := runStandIn(t, exec.Command(os.Args[0]), fmt.Sprintf("next %d %s", left[0], dir))
	slices.Sort(said)
	slices.Sort(want)
	if !slices.Equal(said, want) {
		t.Errorf("ended %v, want %v", said, want)
	}
	eventually(t, soon, "gone", func() bool { return len(group(pgid)) == 0 })
}

// standInNext gives CAP_SYS_PTRACE up for good, so that it cannot look at a
// certain process, and ends what is left in a directory.
func standInNext(what string) error {
	number, dir, _ := strings.Cut(what, " ")
	if _, err := os.Readlink("/proc/" + number + "/exe"); err == nil {
		runtime.LockOSThread() // exec is to be this thread's
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0); err != nil {
			return err
		}
		return syscall.Exec(os.Args[0], os.Args, os.Environ())
	} else if !errors.Is(err, os.ErrPermission) {
		return err
	}
	ended, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	if err != nil {
		return err
	}
	for _, l := range ended {
		fmt.Println(l.PID)
	}
	fmt.Println("ready")
	return nil
}
