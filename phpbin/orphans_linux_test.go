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

// killWithWatchdog kills first the watchdog of a helper process, which is suspended so
// that it does not start another one, and then the helper process.
func killWithWatchdog(t *testing.T, cmd *exec.Cmd, pgid int) {
	t.Helper()
	t.Cleanup(func() {
		if len(group(pgid)) > 0 { // only after a failure
			_ = syscall.Kill(-pgid, syscall.SIGKILL)
		}
	})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, waitLimit, "suspended", func() bool { return stat(cmd.Process.Pid)[0] == "T" })
	list := watchdogs(pgid)
	if len(list) != 1 {
		t.Fatalf("group %d: got the watchdogs %v, want one", pgid, list)
	}
	if err := syscall.Kill(list[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, waitLimit, "dead", func() bool { return len(watchdogs(pgid)) == 0 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// pidsIn returns the pids that the scripts of a helper process have written to files:
// those of workers that compute, or of forked copies.
func pidsIn(t *testing.T, dir string, pgid int) []int {
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

func pidsOf(killed []phpbin.Orphan) []int {
	var list []int
	for _, l := range killed {
		list = append(list, l.PID)
	}
	slices.Sort(list)
	return list
}

func TestOrphans_KilledByNextProcess(t *testing.T) {
	for _, kind := range []string{"shared", "single", "copies"} {
		for _, uid := range []int{0, 33} {
			if uid != 0 && os.Getuid() != 0 {
				continue // only root can become another user
			}
			t.Run(fmt.Sprintf("%s as %d", kind, uid), func(t *testing.T) {
				dir := worldWritableDir(t)
				cmd := exec.Command(os.Args[0])
				pgid := groupsOf(t, startHelper(t, cmd, fmt.Sprintf("%s %d %s", kind, uid, dir)))[0]
				neighbour := groupsOf(t, startHelper(t, exec.Command(os.Args[0]), fmt.Sprintf("shared %d %s", uid, dir)))[0]
				var alive []int
				eventually(t, waitLimit, "master, watchdog and three children", func() bool {
					alive = group(neighbour)
					return len(alive) == 5
				})
				left := pidsIn(t, dir, pgid)
				if len(left) != 2 {
					t.Fatalf("got %v in group %d, want two pids", left, pgid)
				}
				if kind == "single" {
					left = nil // their parent death signal is KILL
				}
				killWithWatchdog(t, cmd, pgid)
				eventually(t, waitLimit, "reduced to the orphans", func() bool {
					return slices.Equal(group(pgid), left)
				})
				killed, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
				if got := pidsOf(killed); err != nil || !slices.Equal(got, left) {
					t.Errorf("killed %v, error %v, want %v", got, err, left)
				}
				for _, l := range killed {
					if l.OwnerPID != cmd.Process.Pid || !strings.Contains(l.Binary, "php") {
						t.Errorf("got %+v, want the owner %d", l, cmd.Process.Pid)
					}
				}
				eventually(t, waitLimit, "gone", func() bool { return len(group(pgid)) == 0 })
				if now := group(neighbour); !slices.Equal(now, alive) {
					t.Errorf("running owner: got processes %v, want %v", now, alive)
				}
			})
		}
	}
}

// A set-group-ID program loses its parent death signal, as does one that gets another
// context from SELinux or AppArmor: prctl(2), PR_SET_PDEATHSIG.
func TestOrphans_MasterWithChildren(t *testing.T) {
	user := wwwData(t)
	dir := worldWritableDir(t)
	program := copyProgram(t, filepath.Join(dir, "php-cgi"))
	if err := errors.Join(os.Chown(program, -1, 34), os.Chmod(program, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	pgid := groupsOf(t, startHelper(t, cmd, fmt.Sprintf("shared %d %s", user.UID, dir)))[0]
	eventually(t, waitLimit, "master, watchdog and three children", func() bool { return len(group(pgid)) == 5 })
	killWithWatchdog(t, cmd, pgid)
	left := group(pgid)
	if len(left) != 4 || !slices.Contains(left, pgid) {
		t.Fatalf("got orphans %v, want the master %d and three children", left, pgid)
	}
	killed, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	got := pidsOf(killed)
	for _, pid := range left { // the master may have forked new children
		if !slices.Contains(got, pid) {
			t.Errorf("orphan %d was not killed, only %v", pid, got)
		}
	}
	if err != nil {
		t.Error(err)
	}
	eventually(t, waitLimit, "gone", func() bool { return len(group(pgid)) == 0 })
}

// Root in an ordinary container may not inspect the processes of other users.
func TestOrphans_WithoutPtraceCapability(t *testing.T) {
	wwwData(t)
	dir := worldWritableDir(t)
	cmd := exec.Command(os.Args[0])
	pgid := groupsOf(t, startHelper(t, cmd, "shared 33 "+dir))[0]
	left := pidsIn(t, dir, pgid)
	killWithWatchdog(t, cmd, pgid)
	eventually(t, waitLimit, "reduced to the orphans", func() bool { return slices.Equal(group(pgid), left) })
	var want []string
	for _, pid := range left {
		want = append(want, strconv.Itoa(pid))
	}
	output := startHelper(t, exec.Command(os.Args[0]), fmt.Sprintf("next %d %s", left[0], dir))
	slices.Sort(output)
	slices.Sort(want)
	if !slices.Equal(output, want) {
		t.Errorf("killed %v, want %v", output, want)
	}
	eventually(t, waitLimit, "gone", func() bool { return len(group(pgid)) == 0 })
}

// helperNext drops CAP_SYS_PTRACE for good, so that it cannot inspect a certain
// process, and kills the orphans with sockets in a directory.
func helperNext(what string) error {
	number, dir, _ := strings.Cut(what, " ")
	if _, err := os.Readlink("/proc/" + number + "/exe"); err == nil {
		runtime.LockOSThread() // exec on the thread that has dropped it
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0); err != nil {
			return err
		}
		return syscall.Exec(os.Args[0], os.Args, os.Environ())
	} else if !errors.Is(err, os.ErrPermission) {
		return err
	}
	killed, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	if err != nil {
		return err
	}
	for _, l := range killed {
		fmt.Println(l.PID)
	}
	fmt.Println("ready")
	return nil
}
