//go:build linux

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// leakWorker does one of many things in a request. X-Memory has the memory that the
// script uses before.
const leakWorker = `<?php
session_save_path(__DIR__ . '/../sessions');
while (frankenphp_handle_request(function () {
	header('X-Memory: ' . getmypid() . ' ' . memory_get_usage());
	switch ($_GET['do']) {
		case 'session': session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; break;
		case 'throw': throw new Exception('as intended');
		case 'buffers': ob_start(); echo 'open'; ob_start(); break;
		case 'flush': for ($i = 0; $i < 3; $i++) { echo $i; if (ob_get_level() > 0) { ob_flush(); } flush(); } break;
		case 'callback': header_register_callback(static function () { header('X-Callback: 1'); }); break;
		case 'finish': echo 'sent'; fastcgi_finish_request(); break;
		case 'log': error_log('as intended'); break;
		case 'open': $GLOBALS['open'] = fopen(__FILE__, 'r'); $temp = fopen('php://temp/maxmemory:10', 'w'); fwrite($temp, str_repeat('x', 100)); break;
	}
	echo strlen(file_get_contents('php://input')), ' ', count($_FILES), ' ', count($_POST);
})) {}
`

// leakRequests are the requests of the clients of TestWorker_LeaksNothing.
var leakRequests = []struct{ method, do, contentType, body string }{
	{"GET", "session", "", ""},
	{"GET", "throw", "", ""},
	{"GET", "buffers", "", ""},
	{"GET", "flush", "", ""},
	{"HEAD", "callback", "", ""},
	{"GET", "finish", "", ""},
	{"GET", "log", "", ""},
	{"GET", "open", "", ""},
	{"POST", "form", "application/x-www-form-urlencoded", "a=1&b[]=2&b[]=3"},
	{"POST", "json", "application/json", `{"text":"` + strings.Repeat("x", 2000) + `"}`},
	{"PUT", "large", "application/octet-stream", strings.Repeat("0123456789abcdef", 20000)},
	{"POST", "upload", "multipart/form-data; boundary=xx", "--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n" +
		strings.Repeat("y", 100000) + "\r\n--xx\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n1\r\n--xx--\r\n"},
}

// TestWorker_LeaksNothing compares the resources of workers and of Caddy after some
// requests of all kinds with those after many more.
func TestWorker_LeaksNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		uploads := harness.TempDir(t)
		harness.ChownToPHP(t, uploads)
		options := []string{"max_requests 1000000000", "ini upload_tmp_dir " + uploads, "ini sys_temp_dir " + uploads}
		s := startWorker(t, b, workerSiteWith(b, options, "num 2"), map[string]string{"index.php": leakWorker, "../sessions/.keep": ""})
		pids := harness.WorkerPIDs(s.Pool())

		var mu sync.Mutex
		memory := map[string]int{}  // of each process, the least
		served := map[string]bool{} // what each process has done
		send := func(client *http.Client) {
			r := leakRequests[rand.IntN(len(leakRequests))]
			req, err := http.NewRequestWithContext(t.Context(), r.method, s.URL+"/?do="+r.do, strings.NewReader(r.body))
			if err != nil {
				t.Error(err)
				return
			}
			if r.contentType != "" {
				req.Header.Set("Content-Type", r.contentType)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if want := map[bool]int{true: 500, false: 200}[r.do == "throw"]; err != nil || res.StatusCode != want {
				t.Errorf("%s: got %s, %v: %.100q", r.do, res.Status, err, text)
			}
			var pid string
			var used int
			if _, err := fmt.Sscan(res.Header.Get("X-Memory"), &pid, &used); err != nil {
				t.Errorf("%s: X-Memory: %v", r.do, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			served[pid+" "+r.do] = true
			if least, ok := memory[pid]; !ok || used < least {
				memory[pid] = used
			}
		}
		run := func(n int) (least map[string]int) {
			memory = map[string]int{}
			var clients sync.WaitGroup
			for c := range 4 {
				clients.Go(func() {
					client := harness.NewBrowserClient(t)
					defer client.CloseIdleConnections()
					for i := c; i < n && !t.Failed(); i += 4 {
						send(client)
					}
				})
			}
			clients.Wait()
			return memory
		}
		files := func() map[int]int {
			open := map[int]int{}
			for _, pid := range pids {
				list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
				if err != nil {
					t.Fatal(err)
				}
				open[pid] = len(list)
			}
			return open
		}

		few := 40 * len(leakRequests)
		for range 50 {
			run(few)
			if len(served) == 2*len(leakRequests) {
				break
			}
		}
		before, openBefore, caddyBefore := run(few), files(), s.SettledFootprint()
		n := harness.Rounds(20000)
		run(n)
		after, openAfter, caddyAfter := run(few), files(), s.SettledFootprint()

		t.Logf("%d requests: memory of the scripts %v, then %v; open files %v, then %v; Caddy %v, then %v", n, before, after, openBefore, openAfter, caddyBefore, caddyAfter)
		if got := harness.WorkerPIDs(s.Pool()); !slices.Equal(got, pids) {
			t.Errorf("the workers changed from %v to %v: exits %v", pids, got, s.Pool().Exits)
		}
		if len(before) != 2 || len(after) != 2 {
			t.Fatalf("not both workers have served: %v, then %v", before, after)
		}
		// In 100,000 requests PHP has kept 8 bytes.
		for pid, used := range after {
			if grown := used - before[pid]; grown > 32<<10 {
				t.Errorf("process %s has kept %d bytes of %d requests", pid, grown, n)
			}
		}
		for pid, open := range openAfter {
			if open > openBefore[pid] {
				t.Errorf("process %d has %d open files, and had %d", pid, open, openBefore[pid])
			}
		}
		const slack = 4 // connections of clients that may be idle
		if caddyAfter.Files > caddyBefore.Files+slack || caddyAfter.Goroutines > caddyBefore.Goroutines+2*slack || caddyAfter.Heap > caddyBefore.Heap+4*harness.MiB {
			t.Errorf("Caddy has %v, and had %v", caddyAfter, caddyBefore)
		}
		if left, err := filepath.Glob(filepath.Join(uploads, "*")); err != nil || len(left) > 0 {
			t.Errorf("temporary files are left: %q, %v", left, err)
		}
	})
}
