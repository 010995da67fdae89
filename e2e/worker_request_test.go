//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// documentedWorker is the first worker script of FrankenPHP's documentation
// (docs/worker.md), unmodified.
const documentedWorker = `<?php
// public/index.php

// Boot your app
require __DIR__.'/vendor/autoload.php';

$myApp = new \App\Kernel();
$myApp->boot();

// Handler outside the loop for better performance (doing less work)
$handler = static function () use ($myApp) {
    try {
        // Called when a request is received,
        // superglobals, php://input and the like are reset
        echo $myApp->handle($_GET, $_POST, $_COOKIE, $_FILES, $_SERVER);
    } catch (\Throwable $exception) {
        // ` + "`set_exception_handler`" + ` is called only when the worker script ends,
        // which may not be what you expect, so catch and handle exceptions here
        (new \MyCustomExceptionHandler)->handleException($exception);
    }
};

$maxRequests = (int)($_SERVER['MAX_REQUESTS'] ?? 0);
for ($nbRequests = 0; !$maxRequests || $nbRequests < $maxRequests; ++$nbRequests) {
    $keepRunning = \frankenphp_handle_request($handler);

    // Do something after sending the HTTP response
    $myApp->terminate();

    // Call the garbage collector to reduce the chances of it being triggered in the middle of a page generation
    gc_collect_cycles();

    if (!$keepRunning) break;
}

// Cleanup
$myApp->shutdown();
`

// documentedApp is the application of documentedWorker.
const documentedApp = `<?php
namespace App {
	class Kernel {
		private $boots = 0, $requests = 0, $terminated = 0;
		public function boot() { $this->boots++; }
		public function handle($get, $post, $cookie, $files, $server) {
			if (isset($get['throw'])) { throw new \DomainException($get['throw']); }
			http_response_code((int) ($get['status'] ?? 200));
			return json_encode([++$this->requests, $this->boots, $this->terminated, $get, $post, $cookie, $server['REQUEST_URI']]);
		}
		public function terminate() { $this->terminated++; }
		public function shutdown() { file_put_contents(__DIR__ . '/../shutdown', $this->requests); }
	}
}
namespace {
	class MyCustomExceptionHandler { public function handleException($e) { http_response_code(418); echo get_class($e), ': ', $e->getMessage(); } }
}
`

func TestWorker_DocumentedExampleOfFrankenPHP(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 1", "env MAX_REQUESTS 4"), map[string]string{"index.php": documentedWorker, "vendor/autoload.php": documentedApp})
		form := func(path, body string) *harness.Response {
			return s.Do(s.Request("POST", path, strings.NewReader(body), "Content-Type: application/x-www-form-urlencoded", "Cookie: c=d"))
		}
		form("/a?x=1", "y=2").Want(t, 200, `[1,1,0,{"x":"1"},{"y":"2"},{"c":"d"},"\/a?x=1"]`)
		s.Get("/b?status=404").Want(t, 404, `[2,1,1,{"status":"404"},[],[],"\/b?status=404"]`)
		s.Get("/c?throw=no").Want(t, 418, "DomainException: no")
		s.Get("/d").Want(t, 200, `[3,1,3,[],[],[],"\/d"]`)
		// It has had its four requests: the next one is the first of a new script.
		s.Get("/e").Want(t, 200, `[1,1,0,[],[],[],"\/e"]`)
		if got := harness.ReadFile(t, filepath.Join(s.Site, "shutdown")); got != "3" {
			t.Errorf("shutdown: got %s requests, want 3", got)
		}
		s.WantExits(map[string]int{"script_ended": 1})
		s.WantNoneFailed()
	})
}

func TestWorker_MatchServesPaths(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		s.Site = filepath.Join(s.Dir, "public")
		write := func(name, content string) { harness.WriteFile(t, filepath.Join(s.Dir, name), content) }
		write("public/index.php", `<?php echo 'plain ', $_SERVER['REQUEST_URI'];`)
		write("public/api/file.txt", "a file")
		write("public/api/script.php", `<?php echo 'script';`)
		write("public/.htaccess", "secret")
		write("app/worker.php", `<?php while (frankenphp_handle_request(function () {
			echo json_encode([$_SERVER['REQUEST_URI'], basename($_SERVER['SCRIPT_FILENAME']), $_SERVER['SCRIPT_NAME'], $_SERVER['PATH_INFO'] ?? null, $_SERVER['A'], getenv('A')], JSON_UNESCAPED_SLASHES);
		})) {}`)
		caddyfile := strings.Replace(workerSite(b, "num 1", "match /api/* /rpc", "env A b"), "worker index.php", "worker {$DIR}/app/worker.php", 1)
		if err := s.Run(caddyfile); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"/api/users/5?x=y":    `["/api/users/5?x=y","worker.php","","","b","b"]`,
			"/rpc":                `["/rpc","worker.php","","","b","b"]`,
			"/api/":               `["/api/","worker.php","","","b","b"]`,
			"/api/script.php":     `["/api/script.php","worker.php","","","b","b"]`,
			"/api/missing.txt":    `["/api/missing.txt","worker.php","","","b","b"]`,
			"/api/file.txt":       "a file",
			"/apis":               "plain /apis",
			"/":                   "plain /",
			"/rpc/more":           "plain /rpc/more",
			"/index.php":          "plain /index.php",
			"/x/../api/users?a=b": `["/x/../api/users?a=b","worker.php","","","b","b"]`,
		} {
			s.Get(path).Want(t, 200, want)
		}
		s.WantNoneFailed()
	})
}

// A worker of the global options serves the script of every site.
func TestWorker_GlobalOption(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := harness.Prepare(t, b)
	s.Site = filepath.Join(s.Dir, "public")
	harness.WriteFile(t, filepath.Join(s.Site, "index.php"), helloWorker)
	s.Options.Global = "php_pool {\nworker " + s.Site + "/index.php {\nname main\nnum 1\n}\n}"
	if err := s.Run("http://127.0.0.1:{$PORT} {\nroot {$SITE}\nphp_pool\n}\nhttp://127.0.0.1:{$PORT2} {\nroot {$DIR}\nphp_pool {\nroot {$SITE}\n}\n}"); err != nil {
		t.Fatal(err)
	}
	s.Get("/a").WantContains(t, 200, "request 1 ", "GET /a")
	if got := s.GetFrom(s.Port+1, "/b"); !strings.Contains(got, "request 2 ") {
		t.Errorf("got %s", got)
	}
}

// A script that ends in a request has completed its response, or PHP says why it could
// not; other requests notice nothing.
func TestWorker_ScriptEndsInARequest(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"ini display_errors 0", "ini memory_limit 16M"}, "num 2"), map[string]string{"index.php": `<?php
			while (frankenphp_handle_request(function () {
				echo 'begin ';
				switch ($_GET['do'] ?? '') {
				case 'exit': exit('end');
				case 'fatal': undefined_function_of_the_test();
				case 'fatal late': $a = new class { public function __toString(): string { return []; } }; echo $a; break;
				case 'memory': $a = str_repeat('x', 1 << 25); break;
				case 'time': set_time_limit(1); while (true) {} 
				case 'kill': posix_kill(getmypid(), 9);
				}
				echo 'end';
			})) {}`})
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			defer func() { done <- n }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := s.Client.Get(s.URL + "/")
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != 200 || string(body) != "begin end" {
					t.Errorf("another client got %s: %s", res.Status, body)
				}
				n++
			}
		}()
		for _, c := range []struct {
			do     string
			status int
			body   string
		}{
			{"exit", 200, "begin end"},
			{"fatal", 500, "*"},
			{"memory", 500, "*"},
			{"time", 500, "*"},
			{"kill", 502, "*"},
			{"fatal%20late", 500, "*"},
			{"exit", 200, "begin end"},
			{"", 200, "begin end"},
		} {
			res := s.Do(s.Request("POST", "/?do="+c.do, nil))
			if res.StatusCode != c.status || c.body != "*" && res.Text != c.body {
				t.Errorf("%s: got %s: %q, want %d %s", c.do, res.Status, res.Text, c.status, c.body)
			}
		}
		close(stop)
		if n := <-done; n < 8 {
			t.Errorf("the other client had only %d responses", n)
		}
		if n := s.Pool().Exits["crashed"]; n != 1 {
			t.Errorf("got exits %v, want one crash", s.Pool().Exits)
		}
	})
}

// A script that ends after a number of requests loses none of them.
func TestWorker_LoopLimitLosesNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 3"), map[string]string{"index.php": `<?php
			$pid = getmypid();
			for ($i = 0; $i < 7; $i++) { if (!frankenphp_handle_request(function () { echo $_GET['n']; })) { break; } }`})
		var clients sync.WaitGroup
		for c := range 4 {
			clients.Go(func() {
				for i := range 150 {
					want := fmt.Sprintf("%d-%d", c, i)
					res, err := s.Client.Post(s.URL+"/?n="+want, "text/plain", strings.NewReader("x"))
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != 200 || string(body) != want {
						t.Errorf("got %s: %s, want %s", res.Status, body, want)
					}
				}
			})
		}
		clients.Wait()
		s.WantNoneFailed()
		s.WaitPool("one with 85 scripts that have ended", func(p harness.PoolStatus) bool { return p.Exits["script_ended"] >= 600/7-3 })
	})
}

// Nothing of a request is in one of another client, though they alternate on one worker.
func TestWorker_ClientsDoNotCross(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 1"), map[string]string{"index.php": `<?php
			session_save_path(__DIR__ . '/../sessions');
			while (frankenphp_handle_request(function () {
				session_start();
				$_SESSION['who'] ??= $_GET['who'];
				$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
				header('X-Who: ' . $_GET['who']);
				setcookie('mine', $_GET['who']);
				if ($_GET['who'] === 'a') { header('X-Only-A: 1'); http_response_code(201); ini_set('precision', 3); }
				echo json_encode([$_SESSION, $_POST, $_COOKIE['mine'] ?? null, $_FILES['f']['name'] ?? null, file_get_contents('php://input'),
					$_SERVER['PHP_AUTH_USER'] ?? null, $_SERVER['HTTP_X_MINE'] ?? null, $_REQUEST['who'], array_keys($_GET)]);
				session_write_close();
				switch ($_GET['do'] ?? '') {
				case 'exit': exit;
				case 'throw': throw new Exception('as intended');
				case 'fatal': eval('class Broken { abstract function f(); }');
				case 'abort':
					if (ob_get_level()) { ob_flush(); }
					flush();
					for ($end = time() + 60; !connection_aborted() && time() < $end; usleep(1000)) {}
				}
			})) {}`, "../sessions/.keep": ""})
		type client struct {
			name   string
			http   *http.Client
			status int
		}
		jar := func() *http.Client { return harness.NewBrowserClient(t) }
		clients := []*client{{"a", jar(), 201}, {"b", jar(), 200}}
		third := jar()
		for i := 1; i <= harness.Rounds(2500); i++ {
			if i%20 == 0 {
				disturb(t, s, third, []string{"exit", "throw", "fatal", "abort"}[i/20%4])
			}
			for _, c := range clients {
				body, contentType := "p="+c.name, "application/x-www-form-urlencoded"
				file := "null"
				switch i % 3 {
				case 0:
					contentType = "multipart/form-data; boundary=xx"
					body = "--xx\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n" + c.name + "\r\n--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + c.name + ".txt\"\r\n\r\nx\r\n--xx--\r\n"
					file = `"` + c.name + `.txt"`
				case 1:
					if c.name == "b" {
						body = ""
					}
				}
				req := s.Request("POST", "/?who="+c.name, strings.NewReader(body), "Content-Type: "+contentType)
				auth, mine := "null", "null"
				if c.name == "a" && i%2 == 0 {
					req.SetBasicAuth("ada", "secret")
					req.Header.Set("X-Mine", "yes")
					auth, mine = `"ada"`, `"yes"`
				}
				res := harness.Do(t, c.http, req)
				post := fmt.Sprintf(`{"p":"%s"}`, c.name)
				if body == "" {
					post = "[]"
				}
				cookie := `"` + c.name + `"`
				if i == 1 {
					cookie = "null"
				}
				input, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				if file != "null" {
					input = []byte(`""`)
				}
				want := fmt.Sprintf(`[{"who":"%s","n":%d},%s,%s,%s,%s,%s,%s,"%[1]s",["who"]]`, c.name, i, post, cookie, file, input, auth, mine)
				if res.StatusCode != c.status || res.Text != want || res.Header.Get("X-Who") != c.name || (res.Header.Get("X-Only-A") == "1") != (c.name == "a") {
					t.Fatalf("round %d of %s: got %s %v\n%s\nwant\n%s", i, c.name, res.Status, res.Header, res.Text, want)
				}
			}
		}
		if p := s.Pool(); p.Exits["crashed"]+p.Exits["abandoned"] != 0 {
			t.Errorf("got exits %v", p.Exits)
		}
	})
}

// disturb sends a request of a third client, which ends in an unusual way.
func disturb(t *testing.T, s *harness.Server, client *http.Client, do string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // the client leaves
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/?who=c&do="+do, strings.NewReader("p=c"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if do == "abort" {
		return
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
}

// What a script flushes arrives at once; a client that leaves is noticed, and the worker
// serves on.
func TestWorker_StreamsAndClientLeaves(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 1"), map[string]string{"index.php": `<?php
			while (frankenphp_handle_request(function () {
				if ($_SERVER['REQUEST_URI'] === '/pid') { echo getmypid(); return; }
				header('Content-Type: text/event-stream');
				ignore_user_abort(true);
				for ($i = 0; $i < 10000; $i++) {
					echo "data: $i\n\n"; if (ob_get_level()) { ob_flush(); } flush();
					if (connection_aborted()) { file_put_contents(__DIR__ . '/aborted', $i); return; }
					while (!file_exists(__DIR__ . "/go$i") && !connection_aborted()) { usleep(2000); clearstatcache(); }
				}
			})) {}`})
		pid := s.Get("/pid").Text
		res, err := s.Client.Get(s.URL + "/events")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := lines.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
				t.Fatalf("got %q, %v, want %q", line, err, want)
			}
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, filepath.Join(s.Site, fmt.Sprintf("go%d", i)), "")
		}
		res.Body.Close() // the client leaves
		if got := s.Get("/pid").Text; got != pid {
			t.Errorf("the worker's process was %s and is %s", pid, got)
		}
		if got := harness.ReadFile(t, filepath.Join(s.Site, "aborted")); !regexp.MustCompile(`^\d+$`).MatchString(got) {
			t.Errorf("got %q", got)
		}
		if p := s.Pool(); p.Exits["abandoned"]+p.Exits["crashed"] != 0 {
			t.Errorf("got exits %v", p.Exits)
		}
	})
}
