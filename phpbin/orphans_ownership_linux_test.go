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

// made is the name of a socket's directory: who made it, as KillOrphans reads
// it.
func made(t *testing.T, pidNS uint64, pid int, start string) string {
	t.Helper()
	ticks, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("php-pool-%s-%s-%s-1", strconv.FormatUint(pidNS, 36), strconv.FormatInt(int64(pid), 36), strconv.FormatInt(ticks, 36))
}

const startTime = 19 // in stat

// madeByTheDead is made by a process that is dead.
func madeByTheDead(t *testing.T) (pid int, start string) {
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

// listen opens a socket that php-cgi can serve on, and returns its inode too.
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

// spawn runs a program with a socket as its fd 0.
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

func TestOnlyWhatIsLeftIsEnded(t *testing.T) {
	dir, here := openDir(t), pidNamespace(t)
	deadPID, deadStart := madeByTheDead(t)
	dead := made(t, here, deadPID, deadStart)
	self, selfStart := os.Getpid(), stat(os.Getpid())[startTime]
	living := made(t, here, self, selfStart)
	neighbour := spawn(t, nil, "sleep", "60").Process.Pid
	zombie := spawn(t, nil, "true").Process.Pid // until the test ends
	eventually(t, prompt, "a zombie", func() bool { return stat(zombie)[0] == "Z" })
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
		name  string
		cmd   *exec.Cmd
		ended bool
	}{
		{"left", serve(socket(dead, "s")), true},
		{"left, upgraded meanwhile", spawn(t, socket(dead+"1", "s"), deleted), true},
		{"left, called as nobody knows", spawn(t, socket(dead+"2", "s"), own), false},
		{"left, of one whose number another one has", serve(socket(made(t, here, neighbour, "1"), "s")), true},
		{"left, of one who is dead but not reaped", serve(socket(made(t, here, zombie, stat(zombie)[startTime]), "s")), true},
		{"another program", sleep(socket(dead+"3", "s")), false},
		{"of one who lives", serve(socket(living, "s")), false},
		{"of one who lives and is not above it", serve(socket(made(t, here, neighbour, stat(neighbour)[startTime]), "s")), false},
		{"of one who lives and whose start time is not what it was", serve(socket(made(t, here, self, "1"), "s")), false},
		{"of another pid namespace", serve(socket(made(t, here+1, deadPID, deadStart), "s")), false},
		{"of another directory", serve(socket("other", dead, "s")), false},
		{"of a directory whose name ends alike", serve(socket("a b", dir, dead, "s")), false},
		{"with a socket of another name", serve(socket("php-pool-1", "s")), false},
		{"with a socket called like another one", serve(forged), false},
	}
	if err := os.Remove(deleted); err != nil {
		t.Fatal(err)
	}
	check := func(ended []phpbin.Orphan, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			pid := test.cmd.Process.Pid
			if got := slices.Contains(pidsOf(ended), pid); got != test.ended {
				t.Errorf("%s: ended %v, want %v", test.name, got, test.ended)
			}
			if test.ended {
				eventually(t, prompt, test.name+": ended", func() bool { return stat(pid)[0] == "Z" })
			} else if stat(pid)[0] == "Z" {
				t.Errorf("%s: is dead", test.name)
			}
		}
	}
	ended, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir})
	check(ended, err)
	tests[2].ended = true // now that somebody says what it is
	more, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir}, phpbin.Options{RuntimeDir: dir, Binary: own})
	check(append(ended, more...), err)
	if len(more) != 1 {
		t.Errorf("ended %v when asked again", more)
	}
}

func TestDirectoriesThatAreLeftAreRemoved(t *testing.T) {
	dir, here := openDir(t), pidNamespace(t)
	deadPID, deadStart := madeByTheDead(t)
	dead := made(t, here, deadPID, deadStart)
	stays := map[string]bool{
		dead:       false,
		dead + "1": true, // has more in it
		dead + "2": true, // a link
		made(t, here, os.Getpid(), stat(os.Getpid())[startTime]): true,
		made(t, here+1, deadPID, deadStart):                      true,
		"php-pool-1234":                                          true,
		"elsewhere":                                              true, // where the link leads
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
		stays[name] = true // of another user
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 33, 33)); err != nil {
			t.Fatal(err)
		}
	}
	if ended, err := phpbin.KillOrphans(phpbin.Options{RuntimeDir: dir}); err != nil || len(ended) != 0 {
		t.Errorf("ended %v, error %v", ended, err)
	}
	for name, want := range stays {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", name, err == nil, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere", "s")); err != nil {
		t.Error(err)
	}
}

func TestADirectoryWhoseNameIsTooLongIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.RuntimeDir = dir
	nothingLeft(t, dir)
	_, err := phpbin.StartShared(within(t), o)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "at most 107 are allowed: use a directory with a shorter path") {
		t.Errorf("got error %v", err)
	}
}
