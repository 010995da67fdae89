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

// wantBlockedOn waits until the process is blocked on one of the wanted targets.
func (r *runningScript) wantBlockedOn(want ...string) {
	r.t.Helper()
	got := ""
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		wait, err := r.BlockedOn()
		if err != nil {
			r.t.Fatalf("BlockedOn: %v", err)
		}
		if got = wait.String(); slices.Contains(want, got) {
			return
		}
	}
	r.t.Errorf("blocked on %q, want one of %q", got, want)
}

func TestBlockedOn_Sockets(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			p := mustLaunch(t, startLauncher(t, kind, options(t)))
			dir := worldWritableDir(t)
			for _, network := range []struct{ name, address, way string }{
				{"tcp4", "127.0.0.1:0", "tcp"}, {"tcp6", "[::1]:0", "tcp"}, {"unix", filepath.Join(dir, "s"), "unix"},
			} {
				l, err := net.Listen(network.name, network.address)
				if err != nil {
					t.Fatal(err)
				}
				address := l.Addr().String()
				r := startScript(t, p, network.way, address)
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if network.way == "unix" {
					address = "unix:" + address
				}
				r.wantBlockedOn("poll "+address, "ppoll "+address)
				r.wantTrace(2, []string{"fgets", "way_" + network.way + " " + position(t, "backtrace_ways.php", network.way)})
				conn.Close()
				l.Close()
				r.wantDone()
			}
		})
	}
}

func TestBlockedOn_FilesAndProcesses(t *testing.T) {
	p := mustLaunch(t, startLauncher(t, "shared", options(t)))
	dir := worldWritableDir(t)

	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	r := startScript(t, p, "flock", lock.Name())
	r.wantBlockedOn("flock " + lock.Name())
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	r.wantDone()

	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	for way, want := range map[string]string{"fopen": "openat " + fifo, "proc_close": ""} {
		r = startScript(t, p, way, fifo)
		if want == "" {
			eventually(t, waitLimit, "a child", func() bool { return len(children(p.PID())) == 1 })
			want = fmt.Sprintf("wait4 process %d (sh)", children(p.PID())[0])
		}
		r.wantBlockedOn(want)
		writer, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		writer.Close()
		r.wantDone()
	}

	r = startScript(t, p, "usleep", "")
	r.wantBlockedOn("clock_nanosleep", "nanosleep")
	r.end()
	r = startScript(t, p, "spin", "")
	r.wantBlockedOn("running")
	r.end()
	// It waits for the next request.
	r.wantBlockedOn("read the web server", "poll the web server")

	// The response is larger than the buffer of the connection.
	send(t, p.Conn(), "stdout.php", nil)
	(&runningScript{p, t, ""}).wantBlockedOn("write the web server", "sendto the web server")
	if _, body, err := receive(p.Conn()); err != nil || len(body) != 16<<20 {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}
