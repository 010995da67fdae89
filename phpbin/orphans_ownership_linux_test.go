package phpbin_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// socketName returns the name of the socket for a socket directory.
func socketName(dir, base string) string {
	hash := fnv.New32a()
	hash.Write([]byte(dir))
	return base + "-" + strconv.FormatUint(uint64(hash.Sum32()), 36)
}

// socketDir returns the name of a socket directory with the tag of its owner.
func socketDir(t *testing.T, pidNS uint64, pid int, start string) string {
	t.Helper()
	ticks, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("php-pool-%s-%s-%s-1", strconv.FormatUint(pidNS, 36), strconv.FormatInt(int64(pid), 36), strconv.FormatInt(ticks, 36))
}

const startTime = 19 // the index of the start time in stat

// deadProcess returns the pid and start time of a process that has exited.
func deadProcess(t *testing.T) (pid int, start string) {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start = stat(cmd.Process.Pid)[startTime]
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, start
}

func pidNamespace(t *testing.T) uint64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/pid", &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// serve starts a php-cgi that listens at path, and returns it with the inode of its
// socket. Its fd 3 is a handle of dir.
func serve(t *testing.T, program, dir, path string) (cmd *exec.Cmd, inode string) {
	t.Helper()
	handle, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if !strings.HasPrefix(path, "/proc/") {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd = exec.Command(program, "-b", path)
	cmd.ExtraFiles, cmd.Env = []*os.File{handle}, []string{"PATH=/usr/bin:/bin"}
	startUntilTestEnd(t, cmd)
	eventually(t, waitLimit, "listening", func() bool {
		sockets, _ := os.ReadFile("/proc/net/unix")
		for line := range strings.Lines(string(sockets)) {
			if strings.HasSuffix(line, " "+path+"\n") {
				inode = strings.Fields(line)[6]
			}
		}
		return inode != ""
	})
	return cmd, inode
}

func startUntilTestEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func copyProgram(t *testing.T, to string) string {
	t.Helper()
	data, err := os.ReadFile(php(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestOrphans_Ownership(t *testing.T) {
	dir, here := worldWritableDir(t), pidNamespace(t)
	deadPID, deadStart := deadProcess(t)
	dead := socketDir(t, here, deadPID, deadStart)
	self, selfStart := os.Getpid(), stat(os.Getpid())[startTime]
	living := socketDir(t, here, self, selfStart)
	program := func(name string, args ...string) int {
		cmd := exec.Command(name, args...)
		startUntilTestEnd(t, cmd)
		return cmd.Process.Pid
	}
	neighbour, zombie := program("sleep", "60"), program("true") // until the test ends
	eventually(t, promptLimit, "a zombie", func() bool { return stat(zombie)[0] == "Z" })
	own := copyProgram(t, filepath.Join(dir, "interpreter"))
	deleted := copyProgram(t, filepath.Join(dir, "php-cgi"))
	const fd3 = "/proc/self/fd/3/"
	named := func(base string) string { return fd3 + socketName(dir, base) }
	at := func(path string) *exec.Cmd {
		cmd, _ := serve(t, php(t), dir, path)
		return cmd
	}
	running := func(program, path string) *exec.Cmd {
		cmd, _ := serve(t, program, dir, path)
		return cmd
	}
	forged, inode := serve(t, php(t), dir, named(living))
	claim, err := net.Listen("unix", fmt.Sprintf("@x\n0: 0 0 0 0 0 %s %s", inode, named(dead)))
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	hidden, hiddenInode := serve(t, php(t), dir, named(dead+"7"))
	hide, err := net.Listen("unix", fmt.Sprintf("@y\n0: 0 0 0 0 0 %s /elsewhere", hiddenInode))
	if err != nil {
		t.Fatal(err)
	}
	defer hide.Close()
	tests := []struct {
		name   string
		cmd    *exec.Cmd
		killed bool
	}{
		{"orphan", at(named(dead)), true},
		{"orphan, binary upgraded meanwhile", running(deleted, named(dead+"1")), true},
		{"orphan, unknown binary name", running(own, named(dead+"2")), false},
		{"orphan, owner pid reused", at(named(socketDir(t, here, neighbour, "1"))), true},
		{"orphan, owner is a zombie", at(named(socketDir(t, here, zombie, stat(zombie)[startTime]))), true},
		{"owner runs", at(named(living + "1")), false},
		{"owner runs and is not an ancestor", at(named(socketDir(t, here, neighbour, stat(neighbour)[startTime]))), false},
		{"owner is an ancestor, with another start time", at(named(socketDir(t, here, self, "1"))), false},
		{"owner in another pid namespace", at(named(socketDir(t, here+1, deadPID, deadStart))), false},
		{"socket of another runtime directory", at(fd3 + socketName("/elsewhere", dead+"4")), false},
		{"socket at another path", at(filepath.Join(dir, socketName(dir, dead+"5"))), false},
		{"socket whose path ends alike", at(dir + "/a " + named(dead+"6")), false},
		{"socket with another name", at(fd3 + "php-pool-1"), false},
		{"socket with the inode of another one in its name", forged, false},
		{"orphan whose inode is in the name of another one", hidden, true},
	}
	if err := os.Remove(deleted); err != nil {
		t.Fatal(err)
	}
	check := func(killed []phpbin.Orphan, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			pid := test.cmd.Process.Pid
			if got := slices.Contains(pidsOf(killed), pid); got != test.killed {
				t.Errorf("%s: killed %v, want %v", test.name, got, test.killed)
			}
			if test.killed {
				eventually(t, promptLimit, test.name+": killed", func() bool { return stat(pid)[0] == "Z" })
			} else if stat(pid)[0] == "Z" {
				t.Errorf("%s: was killed", test.name)
			}
		}
	}
	killed, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	check(killed, err)
	tests[2].killed = true // by the name in Options.Binary
	more, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir}, phpbin.Options{RuntimeDir: dir, Binary: own})
	check(append(killed, more...), err)
	if len(more) != 1 {
		t.Errorf("second call: killed %v, want one", more)
	}
}

func TestOrphans_SocketDirectories(t *testing.T) {
	dir, here := worldWritableDir(t), pidNamespace(t)
	deadPID, deadStart := deadProcess(t)
	dead := socketDir(t, here, deadPID, deadStart)
	stays := map[string]bool{
		dead:       false,
		dead + "1": true, // not empty
		dead + "2": true, // a symbolic link
		socketDir(t, here, os.Getpid(), stat(os.Getpid())[startTime]): true,
		socketDir(t, here+1, deadPID, deadStart):                      true,
		"php-pool-1234":                                               true,
		"elsewhere":                                                   true, // the target of the link
	}
	for name := range stays {
		path := filepath.Join(dir, name)
		if name == dead+"2" {
			if err := os.Symlink("elsewhere", path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		inner := filepath.Join(path, "d")
		if err := errors.Join(os.MkdirAll(inner, 0o700), os.WriteFile(filepath.Join(inner, socketName(dir, name)), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	files := filepath.Join(dir, dead) // of a prelude, and of a worker script
	err := errors.Join(os.WriteFile(filepath.Join(dir, dead+"1", "d", "more"), nil, 0o600),
		os.WriteFile(filepath.Join(files, "functions.php"), nil, 0o400), unix.Mkfifo(filepath.Join(files, "w1.log"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		name := dead + "3"
		stays[name] = true // belongs to another user
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 33, 33)); err != nil {
			t.Fatal(err)
		}
	}
	if killed, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir}); err != nil || len(killed) != 0 {
		t.Errorf("killed %v, error %v, want none", killed, err)
	}
	for name, want := range stays {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s exists: %v, want %v", name, err == nil, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere", "d", socketName(dir, "elsewhere"))); err != nil {
		t.Error(err)
	}
}

// php-cgi reaches the directory of its socket by a handle only.
func TestRuntimeDir_LongAndPrivate(t *testing.T) {
	for _, kind := range kinds {
		for _, uid := range []int{0, 33} {
			if uid != 0 && os.Getuid() != 0 {
				continue // only root can become another user
			}
			t.Run(fmt.Sprintf("%s as %d", kind, uid), func(t *testing.T) {
				o := options(t)
				o.RuntimeDir = filepath.Join(t.TempDir(), strings.Repeat("long", 30))
				if err := os.Mkdir(o.RuntimeDir, 0o700); err != nil {
					t.Fatal(err)
				}
				if uid != 0 {
					o.Credential = &phpbin.Credential{UID: uint32(uid), GID: uint32(uid)}
				}
				p := mustLaunch(t, startLauncher(t, kind, o))
				if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
					t.Errorf("the script reports pid %s, want %d", got, p.PID())
				}
				if left, _ := os.ReadDir(o.RuntimeDir); len(left) > 0 {
					t.Errorf("while it runs: %v", left)
				}
			})
		}
	}
}
