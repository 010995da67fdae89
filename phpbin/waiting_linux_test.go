package phpbin_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// wantWaiting waits until the process waits for what is wanted.
func (r *traced) wantWaiting(want ...string) {
	r.t.Helper()
	got := ""
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(time.Millisecond) {
		wait, err := r.BlockedOn()
		if err != nil {
			r.t.Fatalf("Waiting: %v", err)
		}
		if got = wait.String(); slices.Contains(want, got) {
			return
		}
	}
	r.t.Errorf("waits for %q, want one of %q", got, want)
}

func TestWhatAScriptWaitsForIsNamed(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			p := mustLaunch(t, start(t, kind, options(t)))
			dir := openDir(t)
			for _, network := range []struct{ name, address, way string }{
				{"tcp4", "127.0.0.1:0", "tcp"}, {"tcp6", "[::1]:0", "tcp"}, {"unix", filepath.Join(dir, "s"), "unix"},
			} {
				l, err := net.Listen(network.name, network.address)
				if err != nil {
					t.Fatal(err)
				}
				address := l.Addr().String()
				r := trace(t, p, network.way, address)
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if network.way == "unix" {
					address = "unix:" + address
				}
				r.wantWaiting("poll "+address, "ppoll "+address)
				r.wantTrace(2, []string{"fgets", "way_" + network.way + " " + line(t, "backtrace_ways.php", network.way)})
				conn.Close()
				l.Close()
				r.answer()
			}
		})
	}
}

func TestWhatElseAScriptWaitsForIsNamed(t *testing.T) {
	p := mustLaunch(t, start(t, "shared", options(t)))
	dir := openDir(t)

	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	r := trace(t, p, "flock", lock.Name())
	r.wantWaiting("flock " + lock.Name())
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	r.answer()

	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	for way, want := range map[string]string{"fopen": "openat " + fifo, "proc_close": ""} {
		r = trace(t, p, way, fifo)
		if want == "" {
			eventually(t, soon, "a child", func() bool { return len(children(p.PID())) == 1 })
			want = fmt.Sprintf("wait4 process %d (sh)", children(p.PID())[0])
		}
		r.wantWaiting(want)
		writer, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		writer.Close()
		r.answer()
	}

	r = trace(t, p, "usleep", "")
	r.wantWaiting("clock_nanosleep", "nanosleep")
	r.end()
	r = trace(t, p, "spin", "")
	r.wantWaiting("running")
	r.end()
	// It reads from its connection, which is ours.
	r.wantWaiting("read the web server", "poll the web server")

	// The answer is more than the connection holds.
	send(t, p.Conn(), "stdout.php", nil)
	(&traced{p, t, ""}).wantWaiting("write the web server", "sendto the web server")
	if _, body, err := receive(p.Conn()); err != nil || len(body) != 16<<20 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
