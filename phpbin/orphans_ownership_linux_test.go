package phpbin_test

import (
	"errors"
	"fmt"
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

// listen opens a socket that php-cgi can serve on, and returns it with its inode.
func listen(t *testing.T, path string) (*os.File, uint64) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { _ = file.Close() })
	if !strings.HasPrefix(path, "@") {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err := errors.Join(err, unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 4)); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return file, st.Ino
}

// spawn starts a program with a socket as its fd 0.
func spawn(t *testing.T, socket *os.File, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Env = socket, []string{"PATH=/usr/bin:/bin"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
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
	neighbour := spawn(t, nil, "sleep", "60").Process.Pid
	zombie := spawn(t, nil, "true").Process.Pid // until the test ends
	eventually(t, promptLimit, "a zombie", func() bool { return stat(zombie)[0] == "Z" })
	own := copyProgram(t, filepath.Join(dir, "interpreter"))
	deleted := copyProgram(t, filepath.Join(dir, "php-cgi"))

	forged, inode := listen(t, filepath.Join(dir, "living", living, "s"))
	listen(t, fmt.Sprintf("@x\n0: 0 0 0 0 0 %d %s/%s/s", inode, dir, dead))
	socket := func(path ...string) *os.File {
		file, _ := listen(t, filepath.Join(append([]string{dir}, path...)...))
		return file
	}
	sleep := func(socket *os.File) *exec.Cmd { return spawn(t, socket, "sleep", "60") }
	serve := func(socket *os.File) *exec.Cmd { return spawn(t, socket, php(t)) }
	tests := []struct {
		name   string
		cmd    *exec.Cmd
		killed bool
	}{
		{"orphan", serve(socket(dead, "s")), true},
		{"orphan, binary upgraded meanwhile", spawn(t, socket(dead+"1", "s"), deleted), true},
		{"orphan, unknown binary name", spawn(t, socket(dead+"2", "s"), own), false},
		{"orphan, owner pid reused", serve(socket(socketDir(t, here, neighbour, "1"), "s")), true},
		{"orphan, owner is a zombie", serve(socket(socketDir(t, here, zombie, stat(zombie)[startTime]), "s")), true},
		{"another program", sleep(socket(dead+"3", "s")), false},
		{"owner runs", serve(socket(living, "s")), false},
		{"owner runs and is not an ancestor", serve(socket(socketDir(t, here, neighbour, stat(neighbour)[startTime]), "s")), false},
		{"owner is an ancestor, with another start time", serve(socket(socketDir(t, here, self, "1"), "s")), false},
		{"owner in another pid namespace", serve(socket(socketDir(t, here+1, deadPID, deadStart), "s")), false},
		{"socket in another directory", serve(socket("other", dead, "s")), false},
		{"socket in a directory whose path ends alike", serve(socket("a b", dir, dead, "s")), false},
		{"socket with another name", serve(socket("php-pool-1", "s")), false},
		{"socket with the inode of another one in its name", serve(forged), false},
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
		if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "s"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, dead+"1", "more"), nil, 0o600); err != nil {
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
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere", "s")); err != nil {
		t.Error(err)
	}
}

func TestRuntimeDir_TooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.RuntimeDir = dir
	checkLeaks(t, dir)
	_, err := phpbin.StartShared(testContext(t), o)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "at most 107 are allowed: use a directory with a shorter path") {
		t.Errorf("got error %v", err)
	}
}
