package confine

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"
)

// onThread runs f on a thread that is confined first, and returns the error of that.
func onThread(c Config, f func()) error {
	result := make(chan error)
	osthread.Go(func() {
		err := Detect().Apply(c)
		if err == nil {
			f()
		}
		result <- err
	})
	return <-result
}

// needsLandlock skips a test where the kernel has none: then Detect says so.
func needsLandlock(t *testing.T) Support {
	t.Helper()
	s := Detect()
	if s.ABI == 0 {
		if s.Err == nil {
			t.Fatal("neither an ABI nor an error")
		}
		t.Skip(s.Err)
	}
	return s
}

// homeDir returns a directory in which something can be hidden.
func homeDir(t *testing.T) string {
	t.Helper()
	home, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp(home, "confine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestConfine_HiddenFiles(t *testing.T) {
	needsLandlock(t)
	dir := homeDir(t)
	secret, open := filepath.Join(dir, "hidden", "secret"), filepath.Join(dir, "beside")
	for _, file := range []string{secret, filepath.Join(dir, "hidden", "allowed", "file"), open} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("hidden", link); err != nil {
		t.Fatal(err)
	}
	c := Config{Hidden: []string{link, filepath.Join(dir, "later")}, Allowed: []string{filepath.Join(dir, "hidden", "allowed")}}
	before := Names(c)
	if before != Names(c) {
		t.Error("the names change by themselves")
	}
	err := onThread(c, func() {
		if _, err := os.ReadFile(secret); !errors.Is(err, os.ErrPermission) {
			t.Errorf("a hidden file: got %v", err)
		}
		if err := os.Rename(secret, filepath.Join(dir, "moved")); !errors.Is(err, os.ErrPermission) {
			t.Errorf("moving a hidden file: got %v", err)
		}
		if _, err := os.ReadFile(open); err != nil {
			t.Error(err)
		}
		if _, err := os.ReadFile(filepath.Join(dir, "hidden", "allowed", "file")); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(os.TempDir(), filepath.Base(dir)), nil, 0o600); err != nil {
			t.Error(err)
		}
		os.Remove(filepath.Join(os.TempDir(), filepath.Base(dir)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "text" {
		t.Errorf("the rest of the process reads %q, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if Names(c) == before {
		t.Error("the names are the same after a file was created beside the hidden one")
	}
}

// TestConfine_OlderKernels restricts as on a kernel with an older Landlock, which this one
// does too.
func TestConfine_OlderKernels(t *testing.T) {
	here := needsLandlock(t)
	dir := homeDir(t)
	hidden := filepath.Join(dir, "hidden")
	for _, name := range []string{"hidden", "a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(hidden, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for abi := 1; abi <= here.ABI; abi++ {
		file := filepath.Join(dir, "a", "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		old := Support{ABI: abi, Ports: here.Ports && abi >= 4}
		result := make(chan error)
		osthread.Go(func() {
			err := old.Apply(Config{Hidden: []string{hidden}, Ports: []uint16{9}})
			if err != nil {
				result <- err
				return
			}
			if _, err := os.ReadFile(filepath.Join(hidden, "secret")); !errors.Is(err, os.ErrPermission) {
				t.Errorf("ABI %d: a hidden file: got %v", abi, err)
			}
			if err := os.Truncate(filepath.Join(hidden, "secret"), 0); errors.Is(err, os.ErrPermission) != (abi >= 3) {
				t.Errorf("ABI %d: truncating a hidden file: got %v", abi, err)
			}
			if err := os.Rename(file, filepath.Join(dir, "b", "file")); (err == nil) != (abi >= 2) {
				t.Errorf("ABI %d: moving a file to another directory: got %v", abi, err)
			}
			if err := unix.Kill(os.Getppid(), 0); (err == nil) == old.Signals() {
				t.Errorf("ABI %d: a signal: got %v", abi, err)
			}
			result <- nil
		})
		if err := <-result; err != nil {
			t.Errorf("ABI %d: %v", abi, err)
		}
	}
}

// TestConfine_Limits tries to change the limits of a process outside, which would kill it.
func TestConfine_Limits(t *testing.T) {
	needsLandlock(t)
	other := os.Getppid()
	var limit unix.Rlimit
	if err := unix.Prlimit(other, unix.RLIMIT_CORE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	err := onThread(Config{}, func() {
		if err := unix.Prlimit(other, unix.RLIMIT_CORE, &limit, nil); !errors.Is(err, unix.EPERM) {
			t.Errorf("the limits of another process: got %v", err)
		}
		if err := unix.Prlimit(0, unix.RLIMIT_CORE, nil, &limit); err != nil {
			t.Errorf("its own: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestConfine_Prepare uses prepared rules, for the same ports only, and can discard them.
func TestConfine_Prepare(t *testing.T) {
	support := needsLandlock(t)
	if !support.Ports {
		t.Skip("the kernel cannot deny TCP ports")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hidden := filepath.Join(homeDir(t), "secret")
	if err := os.WriteFile(hidden, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c := Config{Hidden: []string{hidden}, Ports: []uint16{port}}
	for name, prepare := range map[string]func(){
		"the same": func() { support.Prepare(c) },
		"twice":    func() { support.Prepare(c); support.Prepare(c) },
		"another":  func() { support.Prepare(Config{Ports: []uint16{port + 1}}) },
		"replaced": func() { support.Prepare(Config{Ports: []uint16{port + 1}}); support.Prepare(c) },
		"gone":     func() { support.Prepare(c); Forget() },
	} {
		prepare()
		used := prepared.result
		err := onThread(c, func() {
			if conn, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, os.ErrPermission) {
				t.Errorf("%s: connecting: got %v, %v", name, conn, err)
			}
			if _, err := os.ReadFile(hidden); !errors.Is(err, os.ErrPermission) {
				t.Errorf("%s: reading the hidden file: got %v", name, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if left := prepared.result; (left != nil) != (name == "another") || name == "another" && left != used {
			t.Errorf("%s: rules are left: %t", name, left != nil)
		}
	}
	Forget()
}

func BenchmarkConfine_Files(b *testing.B) {
	benchmark(b, Config{Hidden: []string{"/var/lib/caddy/.local/share/caddy"}})
}

func BenchmarkConfine_Port(b *testing.B) {
	benchmark(b, Config{Hidden: []string{"/var/lib/caddy/.local/share/caddy"}, Ports: []uint16{2019}})
}

func benchmark(b *testing.B, c Config) {
	b.Helper()
	Detect()
	for b.Loop() {
		if err := onThread(c, func() {}); err != nil {
			b.Skip(err)
		}
	}
}

func TestConfine_Ports(t *testing.T) {
	if !needsLandlock(t).Ports {
		t.Skip("the kernel cannot deny TCP ports")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := l.Addr().(*net.TCPAddr).Port
	to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	attempts := map[string]func() error{
		"connect": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Connect(fd, to)
		},
		"Multipath TCP": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Connect(fd, to)
		},
		"Fast Open": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, to)
		},
		"Fast Open by sendmsg": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendmsg(fd, []byte("x"), nil, to, unix.MSG_FASTOPEN)
		},
		"io_uring": func() error {
			_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
			if errno == unix.ENOSYS {
				return errno
			}
			return nil
		},
	}
	err = onThread(Config{Ports: []uint16{uint16(port)}}, func() {
		for name, attempt := range attempts {
			if attempt() == nil {
				t.Errorf("%s connects", name)
			}
		}
		if conn, err := net.Dial("tcp", other.Addr().String()); err != nil {
			t.Errorf("another port: %v", err)
		} else {
			conn.Close()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := attempts["connect"](); err != nil { // unconfined
		t.Error(err)
	}
}

func TestConfine_CheckHidden(t *testing.T) {
	dir := homeDir(t)
	for path, want := range map[string]string{
		filepath.Join(dir, "a", "b"): "",
		"/etc/caddy/key.pem":         "/etc",
		"/tmp/data":                  "/tmp",
		"/":                          "root directory",
		filepath.Join(dir, "t/data"): filepath.Join(dir, "t"),
	} {
		err := CheckHidden(path, []string{filepath.Join(dir, "t")})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

// A confined main thread would give PHP this process's memory: /proc/PID is checked
// against the main thread.
func TestConfine_NotOnMainThread(t *testing.T) {
	for range 200 {
		done := make(chan int)
		osthread.Go(func() { done <- unix.Gettid() })
		if <-done == os.Getpid() {
			t.Fatal("osthread.Go used the main thread")
		}
	}
}
