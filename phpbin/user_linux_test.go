package phpbin_test

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// wwwData returns Debian's user for web servers.
func wwwData(t *testing.T) *phpbin.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	return &phpbin.Credential{UID: 33, GID: 33, Groups: []uint32{33}}
}

// state is the output of testdata/state.php.
type state struct {
	UID, GID, Umask, Nice int
	Status, Limits, Env   map[string]string
	FDs                   []string
	Getenv                any
	INI                   string
}

func stateOf(t *testing.T, p *phpbin.Process) state {
	t.Helper()
	body := run(t, p, "state.php", nil)
	var s state
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return s
}

func TestOptions_ProcessAttributes(t *testing.T) {
	t.Setenv("PHP_POOL_SECRET", "hidden")
	mask := syscall.Umask(0o022)
	defer syscall.Umask(mask)
	niceness, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	_, inherited, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	// Not close-on-exec, as if it had been inherited.
	if _, err := unix.FcntlInt(inherited.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			wanted := 0o027
			o.Credential = wwwData(t)
			o.Umask, o.Nice, o.NoNewPrivs = &wanted, 5, true
			o.Rlimits = []phpbin.Rlimit{{Resource: "nofile", Soft: 100, Hard: 200}, {Resource: "cpu", Soft: phpbin.Unlimited, Hard: phpbin.Unlimited}}
			o.Env = map[string]string{"PHP_POOL_TEST": "seen"}
			o.INI = []phpbin.Setting{{Name: "user_agent", Value: "it's; me"}}
			l := startLauncher(t, kind, o)
			s := stateOf(t, mustLaunch(t, l))
			if s.UID != 33 || s.GID != 33 || s.Status["Uid"] != "33\t33\t33\t33" || s.Status["Groups"] != "33" {
				t.Errorf("got user %d, group %d, %q, %q", s.UID, s.GID, s.Status["Uid"], s.Status["Groups"])
			}
			for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
				if s.Status[set] != "0000000000000000" {
					t.Errorf("capabilities %s: got %s, want none", set, s.Status[set])
				}
			}
			if s.Umask != wanted || s.Nice != 5 || s.Status["NoNewPrivs"] != "1" {
				t.Errorf("got umask %#o, nice %d, no_new_privs %s", s.Umask, s.Nice, s.Status["NoNewPrivs"])
			}
			if got := s.Limits["open files"]; got != "100 200" {
				t.Errorf("got nofile %q", got)
			}
			if got := s.Limits["core file size"]; got != "0 0" {
				t.Errorf("got core %q", got)
			}
			if s.Getenv != "seen" || s.INI != "it's; me" {
				t.Errorf("got getenv %v, ini %q", s.Getenv, s.INI)
			}
			want := []string{"HOME", "LANG", "PATH", "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "PHP_POOL_TEST", "TMPDIR", "TZ", "USER"}
			for name := range s.Env {
				if !slices.Contains(want, name) {
					t.Errorf("the environment contains %s", name)
				}
			}
			if s.Env["USER"] != "www-data" {
				t.Errorf("got USER %q", s.Env["USER"])
			}
			checkDescriptors(t, s.FDs)
		})
	}
	if got := syscall.Umask(0o022); got != 0o022 {
		t.Errorf("our own umask changed to %#o", got)
	}
	if nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid()); err != nil || nice != niceness { // 20 - nice
		t.Errorf("our own niceness changed from %d to %d, %v", 20-niceness, 20-nice, err)
	}
}

// checkDescriptors fails for any descriptor but stdin, stdout, stderr, the removed
// directory of the listening socket, the socket, the connection, the script, and the lock file of OPcache, which newer releases of
// PHP create in memory.
func checkDescriptors(t *testing.T, fds []string) {
	t.Helper()
	for _, fd := range fds {
		n, target, _ := strings.Cut(fd, " ")
		number, _ := strconv.Atoi(n)
		switch {
		case number == 0 && target == "/dev/null", (number == 1 || number == 2) && target == "pipe:[]":
		case number == 3 && strings.Contains(target, "/php-pool-") && strings.HasSuffix(target, "/d (deleted)"):
		case number > 2 && (target == "socket:[]" || strings.Contains(target, "ZendSem") || strings.HasPrefix(target, "/memfd:opcache_lock")):
		case number > 2 && strings.HasSuffix(target, "/testdata/state.php"):
		default:
			t.Errorf("unexpected descriptor %s", fd)
		}
	}
}

func TestWatchdog_SurvivesScripts(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Credential = wwwData(t)
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			pgid := groupOf(t, p.PID())
			send(t, p.Conn(), "killall.php", nil)
			waitClosed(t, waitLimit, "done", p.Done())
			eventually(t, waitLimit, "only the watchdog", func() bool { return len(group(pgid)) == 1 })
			left := group(pgid)[0]
			if command, _ := os.ReadFile("/proc/" + strconv.Itoa(left) + "/cmdline"); !strings.Contains(string(command), "watchdog") {
				t.Errorf("process left: %q", command)
			}
			start := time.Now()
			if err := l.Close(testContext(t)); err != nil || time.Since(start) > promptLimit {
				t.Errorf("Close: %v after %v", err, time.Since(start))
			}
		})
	}
}

func TestWatchdog_DescriptorsAndEnvironment(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			pgid := groupOf(t, mustLaunch(t, l).PID())
			for _, pid := range group(pgid) {
				dir := "/proc/" + strconv.Itoa(pid)
				if command, _ := os.ReadFile(dir + "/cmdline"); !strings.Contains(string(command), "watchdog") {
					continue
				}
				entries, err := os.ReadDir(dir + "/fd")
				if err != nil || len(entries) != 3 {
					t.Errorf("descriptors: got %v, %v, want 3", entries, err)
				}
				if environ, _ := os.ReadFile(dir + "/environ"); string(environ) != "PATH=/usr/bin:/bin\x00" {
					t.Errorf("environment: got %q, want only PATH", environ)
				}
				status, _ := os.ReadFile(dir + "/status")
				for line := range strings.Lines(string(status)) {
					if strings.HasPrefix(line, "VmRSS") {
						t.Log(line)
					}
				}
				return
			}
			t.Error("no watchdog found")
		})
	}
}

func TestOutput_Lines(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var output entries
			o := options(t)
			o.Output = output.add
			o.INI = []phpbin.Setting{{Name: "extension", Value: "no_such_thing"}}
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			eventually(t, waitLimit, "read from the start", func() bool { return strings.Contains(output.String(), "no_such_thing") })
			if got := run(t, p, "stderr.php", nil); got != "done" {
				t.Errorf("got %q", got)
			}
			eventually(t, waitLimit, "read", func() bool { return strings.Contains(output.String(), "the end") })
			var long, count int
			for _, entry := range output.all() {
				line := entry.Text
				if strings.HasPrefix(line, "line ") {
					count++
				}
				if strings.Trim(line, "x") == "" {
					long += len(line)
				}
				if len(line) > 64<<10 {
					t.Errorf("got a line of %d bytes, want 64 KiB at most", len(line))
				}
			}
			if count != 10000 || long != 200000 {
				t.Errorf("got %d lines, and %d bytes of the long one", count, long)
			}
		})
	}
}
