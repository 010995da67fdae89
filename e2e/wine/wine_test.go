//go:build linux

package wine

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// windows is a Caddy that runs under Wine, in its own directory.
type windows struct {
	*harness.Supervised
	t      *testing.T
	dir    string
	client *http.Client
	url    string
	admin  string
}

// newWindows returns a Caddy that does not run yet. The directory has the site and the program
// in place of php-cgi.exe.
func newWindows(t *testing.T) *windows {
	t.Helper()
	w := &windows{t: t, dir: harness.TempDir(t), client: harness.NewClient(t)}
	harness.WriteFile(t, filepath.Join(w.dir, "site", "index.php"), "<?php")
	harness.WriteFile(t, filepath.Join(w.dir, "site", "crash.php"), "<?php")
	php, err := os.ReadFile(*phpFlag)
	if err == nil {
		err = os.MkdirAll(filepath.Join(w.dir, "php"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "php", "php-cgi.exe"), php, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// path returns the name that a file of the directory has for Windows: Wine calls / the drive Z.
func (w *windows) path(elements ...string) string {
	return "Z:" + filepath.Join(append([]string{w.dir}, elements...)...)
}

// run starts Caddy with these arguments.
func (w *windows) run(args ...string) {
	w.t.Helper()
	w.Supervised = harness.Supervise(w.t, harness.Command{
		Args: append([]string{*wineFlag, *exeFlag}, args...), Dir: w.dir, Log: filepath.Join(w.dir, "log"),
		Env: append(os.Environ(), "WINEDEBUG=-all", "APPDATA="+w.path("data")),
	})
}

// await waits until the output matches, and returns the groups.
func (w *windows) await(pattern string) []string {
	w.t.Helper()
	var groups []string
	harness.Eventually(w.t, func() error {
		log, err := os.ReadFile(filepath.Join(w.dir, "log"))
		if groups = regexp.MustCompile(pattern).FindStringSubmatch(string(log)); groups != nil {
			return nil
		}
		if code, exited := w.Wait(0); exited {
			w.t.Fatalf("caddy.exe exited with %d:\n%s", code, log)
		}
		return fmt.Errorf("the output does not match %s: %w\n%s", pattern, err, log)
	})
	return groups
}

// startCaddy runs a Caddy with a site and an admin endpoint.
func startCaddy(t *testing.T, options string) *windows {
	t.Helper()
	w := newWindows(t)
	port, adminPort := harness.FreePort(t), harness.FreePort(t)
	w.url, w.admin = fmt.Sprint("http://127.0.0.1:", port), fmt.Sprint("http://127.0.0.1:", adminPort)
	harness.WriteFile(t, filepath.Join(w.dir, "Caddyfile"), fmt.Sprintf(`{
	admin 127.0.0.1:%d
	persist_config off
	skip_install_trust
}
http://127.0.0.1:%d {
	root %q
	php_pool {
		name main
		binary %q
		%s
	}
	file_server
}
`, adminPort, port, w.path("site"), w.path("php", "php-cgi.exe"), options))
	w.run("run", "--config", w.path("Caddyfile"))
	w.await("serving initial configuration")
	return w
}

// do sends a request and returns the status and the body.
func (w *windows) do(method, url, body string) (int, string) {
	w.t.Helper()
	req := harness.NewRequest(w.t, method, url, strings.NewReader(body))
	res, err := w.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// served checks a response of the script, and returns the process that sent it.
func (w *windows) served(method, query, body string) (pid int) {
	w.t.Helper()
	status, text := w.do(method, w.url+"/index.php"+query, body)
	fields := strings.Fields(text)
	want := strings.ReplaceAll(w.path("site", "index.php"), "/", `\`)
	if status != http.StatusOK || len(fields) != 3 || fields[1] != want || fields[2] != strconv.Itoa(len(body)) {
		w.t.Fatalf("%s: got %d %q, want the script %s and %d bytes", method, status, text, want, len(body))
	}
	pid, _ = strconv.Atoi(fields[0])
	return pid
}

// workers returns the processes that run in place of php-cgi.exe.
func (w *windows) workers() (list []int) {
	w.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, dir := range dirs {
		// It may have exited meanwhile, and a zombie has no arguments.
		if args, err := os.ReadFile(dir + "/cmdline"); err == nil && strings.Contains(strings.ReplaceAll(string(args), `\`, "/"), w.dir+"/php/php-cgi.exe") {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			list = append(list, pid)
		}
	}
	return list
}

// wantGone waits until no worker is left.
func (w *windows) wantGone() {
	w.t.Helper()
	harness.Eventually(w.t, func() error {
		if left := w.workers(); len(left) > 0 {
			return fmt.Errorf("processes %v are left", left)
		}
		return nil
	})
}

// pool returns the pool in the admin API.
func (w *windows) pool() (p struct {
	Generation int
	Workers    struct{ Idle, Busy int }
	Manager    string
},
) {
	w.t.Helper()
	status, text := w.do(http.MethodGet, w.admin+"/php_pool/pools/main", "")
	if err := json.Unmarshal([]byte(text), &p); status != http.StatusOK || err != nil {
		w.t.Fatalf("got %d %s, %v", status, text, err)
	}
	return p
}

// stop stops Caddy as `caddy stop` does. No process may be left.
func (w *windows) stop() {
	w.t.Helper()
	if status, text := w.do(http.MethodPost, w.admin+"/stop", ""); status != http.StatusOK {
		w.t.Fatalf("stop: got %d %s", status, text)
	}
	if code, exited := w.Wait(harness.MaxWait); !exited || code != 0 {
		w.t.Errorf("stop: exited %v with code %d", exited, code)
	}
	w.wantGone()
}

// TestWindows_Serves serves requests one by one and at the same time, replaces workers after
// max_requests and on command, and stops.
func TestWindows_Serves(t *testing.T) {
	w := startCaddy(t, "workers 4\n\t\tmax_requests 20 0")
	w.served(http.MethodGet, "", "")
	w.served(http.MethodPost, "", strings.Repeat("x", 55_000))
	var parallel sync.WaitGroup
	for range 10 {
		parallel.Go(func() {
			if status, text := w.do(http.MethodGet, w.url+"/index.php?sleep=300ms", ""); status != http.StatusOK {
				t.Errorf("at the same time: got %d %s", status, text)
			}
		})
	}
	parallel.Wait()
	if n := len(w.workers()); n > 4 {
		t.Errorf("got %d workers, want at most 4", n)
	}

	served := map[int]int{}
	for range 100 {
		served[w.served(http.MethodGet, "", "")]++
	}
	for pid, n := range served {
		if n > 20 {
			t.Errorf("process %d served %d requests with max_requests 20", pid, n)
		}
	}
	if len(served) < 5 {
		t.Errorf("%d processes served 100 requests with max_requests 20", len(served))
	}

	if status, text := w.do(http.MethodPost, w.admin+"/php_pool/pools/main/restart", ""); status != http.StatusOK {
		t.Fatalf("restart: got %d %s", status, text)
	}
	if p := w.pool(); p.Generation != 2 {
		t.Errorf("after a restart: got %+v", p)
	}
	if pid := w.served(http.MethodGet, "", ""); served[pid] > 0 {
		t.Errorf("process %d serves after the restart too", pid)
	}
	w.stop()
}

// TestWindows_Crash has a script that crashes its worker: its requests get 502, and then the
// script is quarantined. Others are served.
func TestWindows_Crash(t *testing.T) {
	w := startCaddy(t, "workers 2\n\t\tquarantine 3 1m 1m")
	got := map[int]int{}
	harness.Eventually(t, func() error {
		status, text := w.do(http.MethodGet, w.url+"/crash.php?crash", "")
		if got[status]++; status != http.StatusServiceUnavailable {
			return fmt.Errorf("got %d %s, want 503 after some 502", status, text)
		}
		return nil
	})
	if got[http.StatusBadGateway] == 0 || len(got) != 2 {
		t.Errorf("got status codes %v, want 502 and then 503", got)
	}
	w.served(http.MethodGet, "", "")
	w.stop()
}

// TestWindows_Killed kills Caddy while its workers are busy: Windows terminates them.
func TestWindows_Killed(t *testing.T) {
	w := startCaddy(t, "workers 2")
	for range 2 {
		go func() {
			if res, err := w.client.Get(w.url + "/index.php?sleep=10m"); err == nil {
				res.Body.Close()
			}
		}()
	}
	harness.Eventually(t, func() error {
		if p := w.pool(); p.Workers.Busy != 2 {
			return fmt.Errorf("got %+v, want two busy workers", p)
		}
		return nil
	})
	if n := len(w.workers()); n != 2 {
		t.Fatalf("got %d workers, want 2: the test does not find them", n)
	}
	w.Signal(syscall.SIGKILL)
	if _, exited := w.Wait(harness.MaxWait); !exited {
		t.Fatal("caddy.exe still runs")
	}
	w.wantGone()
}

// TestWindows_Serve runs `caddy php-pool serve`.
func TestWindows_Serve(t *testing.T) {
	w := newWindows(t)
	w.run("php-pool", "serve", w.path("site"), "--php", w.path("php", "php-cgi.exe"))
	m := w.await(`Serving (\S+) at http://localhost:(\d+)\s+See the workers with: caddy php-pool top(?: --address localhost:(\d+))?\s`)
	adminPort := m[3]
	if adminPort == "" {
		adminPort = "2019"
	}
	w.url, w.admin = "http://"+net.JoinHostPort("127.0.0.1", m[2]), "http://"+net.JoinHostPort("localhost", adminPort)
	w.served(http.MethodGet, "", "")
	w.stop()
}
