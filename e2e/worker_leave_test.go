//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// leaveWorker waits, where the request says so, until the file "go" exists, and before the
// end of the response until it has learned that the client disconnected. It says in the file
// "at" that it waits, and in "aborted" what connection_aborted() returned then.
const leaveWorker = `<?php
function wait($stage) {
	if (($_GET['stage'] ?? '') !== $stage) { return; }
	touch(__DIR__ . '/at');
	for ($end = time() + 60; !file_exists(__DIR__ . '/go') && time() < $end; usleep(2000)) { clearstatcache(); }
	// Caddy tells the script right after it has noticed it itself.
	for ($told = $stage === 'head' || $stage === 'response'; $told && !connection_aborted() && time() < $end; usleep(2000)) {}
	file_put_contents(__DIR__ . '/aborted', connection_aborted());
}
while (frankenphp_handle_request(function () {
	if (isset($_GET['other'])) { echo 'other ', $_GET['other']; return; }
	if (isset($_GET['pid'])) { echo getmypid(); return; }
	wait('head');
	echo str_repeat('x', 200000);
	if (ob_get_level()) { ob_flush(); }
	flush();
	wait('response');
	echo str_repeat('y', 200000);
	fastcgi_finish_request();
	wait('finish');
})) {
	wait('ready');
	$_GET = [];
}
`

// TestWorker_ClientLeavesAtEachStage has clients that leave at every stage of a request.
// The script learns it while the response is not complete, and runs on; the worker serves
// again, and no other client notices anything.
func TestWorker_ClientLeavesAtEachStage(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 2"), map[string]string{"index.php": leaveWorker})
		pids := harness.WorkerPIDs(s.Pool())
		address := strings.TrimPrefix(s.URL, "http://")
		file := func(name string) string { return filepath.Join(s.Site, name) }

		// The other client uses the worker that is free.
		var done atomic.Bool
		var others sync.WaitGroup
		defer others.Wait()
		defer done.Store(true)
		others.Go(func() {
			client := harness.NewClient(t)
			for i := 0; !done.Load(); i++ {
				res, err := client.Get(fmt.Sprintf("%s/?other=%d", s.URL, i))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if want := fmt.Sprint("other ", i); err != nil || res.StatusCode != 200 || string(body) != want {
					t.Errorf("the other client got %s %q, %v, want %q", res.Status, body, err, want)
				}
			}
		})
		for _, c := range []struct {
			stage   string
			aborted string // what connection_aborted() returns; "": the script does not run
			reads   int    // bytes of the body that the client has read before
		}{{"upload", "", 0}, {"head", "1", 0}, {"response", "1", 1000}, {"finish", "", 400000}, {"ready", "", 400000}} {
			for range 3 {
				for _, name := range []string{"at", "go", "aborted"} {
					if err := os.Remove(file(name)); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				if c.stage == "upload" {
					fmt.Fprintf(conn, "POST /?stage=upload HTTP/1.1\r\nHost: %s\r\nContent-Length: 3000000\r\n\r\n%s", address, strings.Repeat("z", 1000000))
					conn.Close()
					continue
				}
				fmt.Fprintf(conn, "GET /?stage=%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.stage, address)
				if c.reads > 0 {
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err == nil {
						_, err = io.ReadFull(res.Body, make([]byte, c.reads))
					}
					if err != nil {
						t.Fatalf("%s: %v", c.stage, err)
					}
				}
				harness.Eventually(t, func() error {
					_, err := os.Stat(file("at"))
					return err
				})
				conn.Close()
				if c.aborted == "1" {
					// Caddy has noticed it when it counts the client as gone.
					s.WaitPool("a worker that drains", func(p harness.PoolStatus) bool { return p.Workers.Draining > 0 })
				}
				harness.WriteFile(t, file("go"), "")
				harness.Eventually(t, func() error {
					text, err := os.ReadFile(file("aborted"))
					if err == nil && len(text) == 0 {
						return errors.New("it is being written")
					}
					if err == nil && c.aborted != "" && string(text) != c.aborted {
						t.Fatalf("%s: connection_aborted() returned %q, want %s", c.stage, text, c.aborted)
					}
					return err
				})
			}
		}
		done.Store(true)
		others.Wait()
		s.WaitPool("two idle workers", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		if got := harness.WorkerPIDs(s.Pool()); fmt.Sprint(got) != fmt.Sprint(pids) {
			t.Errorf("the workers changed from %v to %v: exits %v", pids, got, s.Pool().Exits)
		}
		s.Get("/?pid").WantContains(t, 200, "")
	})
}
