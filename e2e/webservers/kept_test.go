//go:build linux

package webservers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// helloSite returns a document root with small scripts.
func helloSite(t *testing.T) string {
	t.Helper()
	site := filepath.Join(harness.TempDir(t), "site")
	for name, php := range map[string]string{
		"hello.php": "echo 'hello';", "time.php": "printf('%.6f', microtime(true));", "limit.php": "echo ini_get('memory_limit');", "die.php": "usleep(30000); exec('kill -9 ' . getmypid());",
	} {
		harness.WriteFile(t, filepath.Join(site, name), "<?php "+php)
	}
	harness.ChownToPHP(t, site)
	return site
}

// get returns the request records for a script, on a connection that stays open.
func get(site, path string) string {
	return begin(responder, keepConn) + stream(paramsRecord, pairs(variables(site, &request{method: "GET", target: path})...)) + stream(stdinRecord, "")
}

// body returns the body of a response.
func (r result) body() string {
	_, body, _ := strings.Cut(r.stdout, "\r\n\r\n")
	return body
}

// TestKept_NoWorkerPinned opens six connections, one after the other, and keeps them.
// A worker of php-fpm belongs to a connection until that is closed, so two workers
// respond to the first two only.
func TestKept_NoWorkerPinned(t *testing.T) {
	t.Parallel()
	site := helloSite(t)
	r := startRig(t, setup{site: site, pool: "workers 2"})
	for i := range 6 {
		c := connect(t, r.listener.unix)
		if got := c.roundTrip(get(site, "/hello.php")); got.err != nil || got.body() != "hello" {
			t.Errorf("connection %d: got %q, error %v", i+1, got.stdout, got.err)
		}
	}

	dir := harness.TempDir(t)
	harness.StartFPM(t, dir, harness.Options{Workers: 2})
	var all [3]*client
	for i := range all {
		all[i] = connect(t, filepath.Join(dir, "fpm.sock"))
	}
	for _, c := range all[:2] {
		if got := c.roundTrip(get(site, "/hello.php")); got.body() != "hello" {
			t.Fatalf("php-fpm: got %q, error %v", got.stdout, got.err)
		}
	}
	if _, err := io.WriteString(all[2], get(site, "/time.php")); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	all[0].Close()
	got := all[2].read(endRequest)
	ran, err := strconv.ParseFloat(got.body(), 64)
	if err != nil {
		t.Fatalf("php-fpm: got %q, error %v", got.stdout, got.err)
	}
	if ran < float64(closed.UnixMicro())/1e6 {
		t.Error("php-fpm has run a third request while two connections were open: it pins its workers no longer")
	}
}

// keptFronts keep their connections to the backend.
var keptFronts = []string{"nginx-kept", "haproxy-kept"}

// TestKept_UnderLoad sends requests from more clients than there are workers, which are
// killed and replaced by a reload meanwhile.
func TestKept_UnderLoad(t *testing.T) {
	t.Parallel()
	for _, name := range keptFronts {
		for _, spawn := range []string{"shared", "single"} {
			t.Run(name+" "+spawn, func(t *testing.T) {
				t.Parallel()
				f := frontNamed(t, name)
				options := "workers 3\nspawn " + spawn
				r := startRig(t, setup{site: helloSite(t), fronts: []front{f}, pool: options})
				port := r.port(f, r.listener)
				gets := startLoad(t, port, 8, "GET", "/hello.php", "hello")
				gets.wait(3000)
				posts := startLoad(t, port, 4, "POST", "/hello.php", "hello")
				posts.wait(100)
				r.killWorkers(t, 10, gets)
				posts.stop()
				if n := len(posts.failures); n > 10 {
					t.Errorf("%d POST requests failed, after 10 workers were killed: %q", n, posts.failures[:5])
				}
				for _, why := range posts.failures {
					if !strings.HasPrefix(why, "502 ") {
						t.Errorf("a POST request failed with %s, want 502", why)
					}
				}
				r.reload(t, gets, options)
				gets.wantNoFailures()
			})
		}
	}
}

// killWorkers kills n workers, one after the other, each while requests run.
func (r *rig) killWorkers(t *testing.T, n int, l *load) {
	t.Helper()
	for i := range n {
		l.wait(50)
		// A request is repeated once: the next worker may not be killed as well.
		harness.Eventually(t, func() error {
			if got := len(r.WorkerProcesses()); got < 3 {
				return fmt.Errorf("%d workers", got)
			}
			return nil
		})
		all := r.WorkerProcesses()
		// It may have been replaced meanwhile.
		if err := syscall.Kill(all[i%len(all)].PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	l.wait(50)
}

// reload loads configurations with other settings under load. The socket stays the
// same, and so does a connection.
func (r *rig) reload(t *testing.T, l *load, options string) {
	t.Helper()
	before, err := os.Stat(r.listener.unix)
	if err != nil {
		t.Fatal(err)
	}
	kept := connect(t, r.listener.unix)
	for _, limit := range []string{"96M", "97M", "98M"} {
		r.Options.Global = listenerOptions(options+"\nini memory_limit "+limit, "")
		if err := r.Reload(keptSite); err != nil {
			t.Fatal(err)
		}
		l.wait(200)
		harness.Eventually(t, func() error {
			got := kept.roundTrip(get(r.Site, "/limit.php"))
			if got.err != nil {
				t.Fatalf("a connection from before the reload: got %q, error %v", got.stdout, got.err)
			}
			if got.body() != limit {
				return fmt.Errorf("a connection from before the reload: got %q, want %s", got.body(), limit)
			}
			return nil
		})
	}
	after, err := os.Stat(r.listener.unix)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the reload has replaced the socket")
	}
}

// TestKept_HalfRequests has connections with the beginning of a request only. They
// occupy no worker.
func TestKept_HalfRequests(t *testing.T) {
	t.Parallel()
	site := helloSite(t)
	r := startRig(t, setup{site: site, pool: "workers 1"})
	whole := get(site, "/hello.php")
	post := begin(responder, 0) + stream(paramsRecord, pairs(variables(site, &request{method: "POST", target: "/hello.php", body: strings.Repeat("x", 1000)})...)) + record(stdinRecord, "half")
	for _, sent := range []string{"", whole[:4], whole[:8], whole[:12], whole[:16], whole[:20], whole[:100], post} {
		for _, address := range []string{r.listener.unix, r.listener.tcp} {
			if _, err := io.WriteString(connect(t, address), sent); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := connect(t, r.listener.unix)
	for range 20 {
		if got := c.roundTrip(whole); got.err != nil || got.body() != "hello" {
			t.Fatalf("got %q, error %v", got.stdout, got.err)
		}
	}
	if p := r.PoolNamed("www"); p.Workers.Busy != 0 {
		t.Errorf("%d workers are busy", p.Workers.Busy)
	}
}

// TestKept_RequestAfterFailure sends a request as soon as the one before it has failed.
// That one took so long that the listener watches the connection.
func TestKept_RequestAfterFailure(t *testing.T) {
	t.Parallel()
	site := helloSite(t)
	r := startRig(t, setup{site: site})
	c := connect(t, r.listener.unix)
	dies := begin(responder, keepConn) + stream(paramsRecord, pairs(variables(site, &request{method: "POST", target: "/die.php"})...)) + stream(stdinRecord, "")
	for i := range 50 {
		if got := c.roundTrip(dies); !strings.Contains(got.stdout, "Status: 502") {
			t.Fatalf("round %d: got %q, error %v", i+1, got.stdout, got.err)
		}
		if got := c.roundTrip(get(site, "/hello.php")); got.body() != "hello" {
			t.Fatalf("round %d: the request after it got %q, %s, error %v", i+1, got.stdout, got.end, got.err)
		}
	}
}

// TestKept_IdleConnections has many connections that were used once.
func TestKept_IdleConnections(t *testing.T) {
	t.Parallel()
	const connections, most = 2000, 40 << 10
	site := helloSite(t)
	r := startRig(t, setup{site: site, listener: fmt.Sprint("max_connections ", 2*connections)})
	wantHello(t, site, r.listener.unix)
	before := r.Footprint().RSS
	all := make([]*client, connections)
	for i := range all {
		all[i] = connect(t, r.listener.unix)
		if got := all[i].roundTrip(get(site, "/hello.php")); got.body() != "hello" {
			t.Fatalf("connection %d: got %q, error %v", i+1, got.stdout, got.err)
		}
	}
	each := (r.Footprint().RSS - before) / connections
	t.Logf("%d bytes for each idle connection", each)
	if each > most {
		t.Errorf("an idle connection takes %d bytes, want at most %d", each, most)
	}
	for _, i := range []int{0, connections / 2, connections - 1} {
		if got := all[i].roundTrip(get(site, "/hello.php")); got.body() != "hello" {
			t.Errorf("connection %d, later: got %q, error %v", i+1, got.stdout, got.err)
		}
	}
}
