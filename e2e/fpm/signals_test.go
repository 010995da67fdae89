//go:build linux

package fpm

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMSignals_Quit lets a running request finish, and refuses new ones.
func TestFPMSignals_Quit(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2)
	i.start()
	s := i.site()
	held := s.Hold("quit")
	held.Add("")
	waitRan(t, held, 1)
	i.Signal(syscall.SIGQUIT)
	i.waitLog("Finishing ...", 1)
	harness.Eventually(t, func() error { // it listens no more
		conn, err := net.Dial("unix", filepath.Join(i.dir, "fpm.sock"))
		if err == nil {
			conn.Close()
			return fmt.Errorf("it accepts a connection")
		}
		return nil
	})
	held.Release()
	held.Want(0, 200)
	i.waitExit(0)
}

// TestFPMSignals_Term ends running requests, also after SIGQUIT.
func TestFPMSignals_Term(t *testing.T) {
	t.Parallel()
	for _, signals := range [][]syscall.Signal{{syscall.SIGTERM}, {syscall.SIGINT}, {syscall.SIGQUIT, syscall.SIGTERM}} {
		i := newInstance(t, true, static2)
		i.start()
		s := i.site()
		held := s.Hold("term")
		held.Add("")
		waitRan(t, held, 1)
		for _, sig := range signals {
			i.Signal(sig)
		}
		i.waitExit(0)
		held.Want(0, 503)
	}
}

// waitRan waits until n scripts of held requests run.
func waitRan(t *testing.T, held *harness.HeldRequests, n int) {
	t.Helper()
	harness.Eventually(t, func() error {
		if got := len(held.Lines("ran")); got < n {
			return fmt.Errorf("%d of %d scripts run", got, n)
		}
		return nil
	})
}

// TestFPMReload_UnderLoad changes the pool while requests arrive: none fails, and the
// change has an effect.
func TestFPMReload_UnderLoad(t *testing.T) {
	t.Parallel()
	lines := func(n int) string { return fmt.Sprintf("%senv[GENERATION] = %d\n", static2, n) }
	i := newInstance(t, true, lines(0))
	i.start()
	inode := socketInode(t, i)
	s := i.site()
	var stop atomic.Bool
	var sent atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			client := harness.NewClient(t)
			for !stop.Load() {
				res, err := client.Get(s.URL + "/hello.php")
				if err != nil {
					t.Error(err)
					return
				}
				harness.Discard(t, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
				sent.Add(1)
			}
		})
	}
	for n := 1; n <= 3; n++ {
		i.configure(lines(n))
		i.Signal(syscall.SIGUSR2)
		i.waitLog("ready to handle connections", n+1)
		harness.Eventually(t, func() error {
			if got := s.Get("/env.php").Text; !strings.Contains(got, fmt.Sprintf(`"GENERATION":"%d"`, n)) {
				return fmt.Errorf("reload %d has no effect: %s", n, got)
			}
			return nil
		})
	}
	stop.Store(true)
	clients.Wait()
	if sent.Load() == 0 {
		t.Error("no request was sent")
	}
	if got := socketInode(t, i); got != inode {
		t.Error("the socket is another one after the reloads")
	}
	i.Signal(syscall.SIGTERM)
	i.waitExit(0)
}

func socketInode(t *testing.T, i *instance) uint64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(i.dir, "fpm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestFPMReload_Broken keeps the configuration that was loaded before.
func TestFPMReload_Broken(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2+"env[A] = before\n")
	i.start()
	s := i.site()
	for n, broken := range []string{"pm = static\n", static2 + "php_admin_value[open_basedir] = \"\n", static2 + "chroot = /\n"} {
		i.configure(broken)
		i.Signal(syscall.SIGUSR2)
		i.waitLog("reload failed", n+1)
		s.Get("/env.php").WantContains(t, 200, `"A":"before"`)
	}
	i.configure(static2 + "env[A] = after\n")
	i.Signal(syscall.SIGUSR2)
	i.waitLog("ready to handle connections", 2)
	harness.Eventually(t, func() error {
		if got := s.Get("/env.php").Text; !strings.Contains(got, `"A":"after"`) {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
}

// TestFPMSignals_Reopen opens error_log again after it was renamed.
func TestFPMSignals_Reopen(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2)
	i.start()
	log := filepath.Join(i.dir, "fpm.log")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	i.Signal(syscall.SIGUSR1)
	i.waitLog("re-opened", 1)
	i.Signal(syscall.SIGTERM)
	i.waitExit(0)
	i.waitLog("bye-bye", 1)
	if text := harness.ReadFile(t, log+".1"); strings.Contains(text, "bye-bye") || !strings.Contains(text, "ready to handle") {
		t.Errorf("the renamed log has %s", text)
	}
}

// TestFPMDaemon runs in the background: the command returns when it serves, and the PID
// file has the process.
func TestFPMDaemon(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2)
	// The supervisor is the subreaper of the process in the background.
	i.Supervised = harness.Supervise(t, i.command())
	if code, ok := i.Wait(harness.MaxWait); !ok || code != 0 {
		t.Fatalf("exit code %d, exited: %v: %s", code, ok, harness.ReadFile(t, filepath.Join(i.dir, "stderr.log")))
	}
	conn, err := net.Dial("unix", filepath.Join(i.dir, "fpm.sock"))
	if err != nil {
		t.Fatal("it does not listen when the command has returned:", err)
	}
	conn.Close()
	pid, err := strconv.Atoi(harness.ReadFile(t, filepath.Join(i.dir, "fpm.pid")))
	if err != nil {
		t.Fatal(err)
	}
	s := i.site()
	s.Get("/hello.php").Want(t, 200, "")
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	i.waitExit(0)
}

// TestFPMDaemon_Broken reports that the process in the background could not serve.
func TestFPMDaemon_Broken(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2)
	i.start()
	other := newInstance(t, true, static2)
	text := strings.ReplaceAll(harness.ReadFile(t, filepath.Join(other.dir, "php-fpm.conf")), other.dir+"/fpm.sock", i.dir+"/fpm.sock")
	harness.WriteFile(t, filepath.Join(other.dir, "php-fpm.conf"), text)
	c := other.command("-D")
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = c.Env
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 78 || !strings.Contains(string(out), "fpm.sock") {
		t.Errorf("exit code %d: %s", code, out)
	}
	i.site().Get("/hello.php").Want(t, 200, "")
}

// TestFPMNotify reports to systemd, READY=1 only when it listens.
func TestFPMNotify(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(i.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := os.Chmod(filepath.Join(i.dir, "notify"), 0o777); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	next := func(want string) {
		t.Helper()
		n, err := socket.Read(buffer)
		if err != nil || !strings.HasPrefix(string(buffer[:n]), want) {
			t.Fatalf("got %q, %v, want %s", buffer[:n], err, want)
		}
	}
	c := i.command("-F")
	c.Env = append(c.Env, "NOTIFY_SOCKET="+filepath.Join(i.dir, "notify"))
	i.Supervised = harness.Supervise(t, c)
	next("READY=1\n")
	conn, err := net.Dial("unix", filepath.Join(i.dir, "fpm.sock"))
	if err != nil {
		t.Fatal("READY=1, but:", err)
	}
	conn.Close()
	if got := harness.ReadFile(t, filepath.Join(i.dir, "fpm.pid")); got != strconv.Itoa(i.PID) {
		t.Errorf("the PID file has %s, want %d", got, i.PID)
	}
	i.Signal(syscall.SIGUSR2)
	next("RELOADING=1\nMONOTONIC_USEC=")
	next("READY=1\n")
	i.configure("pm = static\n")
	i.Signal(syscall.SIGUSR2)
	next("RELOADING=1\n")
	next("READY=1\nSTATUS=Reload failed")
	i.Signal(syscall.SIGTERM)
	next("STOPPING=1")
	i.waitExit(0)

	// The configuration is still broken.
	i.Supervised = harness.Supervise(t, c)
	if code, ok := i.Wait(harness.MaxWait); !ok || code != 78 {
		t.Fatalf("exit code %d, exited: %v", code, ok)
	}
	marker, err := net.Dial("unixgram", filepath.Join(i.dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer marker.Close()
	if _, err := marker.Write([]byte("nothing before")); err != nil {
		t.Fatal(err)
	}
	next("nothing before")
}
