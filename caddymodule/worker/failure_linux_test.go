package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// TestBoot_Fails has scripts that do not become ready. The error has PHP's words, and a
// good script can be launched in the same generation.
func TestBoot_Fails(t *testing.T) {
	const good = `<?php while (frankenphp_handle_request(function () { echo 'good'; })) {}`
	for name, c := range map[string]struct {
		script string
		want   string // within the error
	}{
		"never asks for a request": {`<?php echo 'page';`, "it must call frankenphp_handle_request()"},
		"prints":                   {`<?php echo 'printed text';`, "printed text"},
		"throws":                   {`<?php throw new Exception('no database');`, "Uncaught Exception: no database"},
		"exits":                    {`<?php exit(0);`, "it must call frankenphp_handle_request()"},
		"exits with a message":     {`<?php die('cannot connect');`, "cannot connect"},
		"parse error":              {`<?php while (frankenphp_handle_request(function`, "Parse error"},
		"fatal error":              {`<?php class A { abstract function f(); }`, "abstract"},
		"missing":                  {"", "cannot open the worker script"},
		"needs a missing file":     {`<?php require 'vendor/autoload.php';`, "vendor/autoload.php"},
		"eats memory":              {`<?php ini_set('memory_limit', '16M'); while (true) { $x[] = str_repeat('x', 100000); }`, "Allowed memory size"},
		"time limit":               {`<?php set_time_limit(1); while (true) {}`, "Maximum execution time"},
		"is killed":                {`<?php posix_kill(getmypid(), SIGKILL); sleep(20);`, "php-cgi exited"},
		"closes the connection":    {`<?php foreach (get_resources('stream') as $r) { fclose($r); } while (frankenphp_handle_request(function () {})) {}`, "supplied resource is not a valid stream"},
		"calls it wrongly":         {`<?php frankenphp_handle_request('nosuch');`, "must be of type callable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.script, func(s *site) { s.ini("opcache.revalidate_freq", "0") })
			if c.script == "" {
				os.Remove(s.script.Filename)
			}
			s.start()
			for range 2 {
				w, err := s.launch()
				if err == nil {
					t.Fatalf("launched process %d", w.PID())
				}
				if _, ok := errors.AsType[*phpbin.StartError](err); !ok || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
					t.Errorf("got error %q, want it to contain %q", err, c.want)
				}
			}
			s.write("worker.php", good)
			future := time.Now().Add(time.Hour)
			if err := os.Chtimes(s.script.Filename, future, future); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the good script serves", func() bool {
				w, err := s.launch()
				return err == nil && w.get("/").body == "good"
			})
		})
	}
}

// TestBoot_Hangs has a script that loops at its start.
func TestBoot_Hangs(t *testing.T) {
	for name, script := range map[string]string{"loops": `<?php while (true) {}`, "sleeps": `<?php error_log('waiting'); sleep(1000);`} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, script).start()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			w, err := s.launcher.Launch(ctx)
			if err == nil {
				t.Fatalf("launched process %d", w.PID())
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "was not ready within") {
				t.Errorf("got %v", err)
			}
			s.write("worker.php", loop)
			s.write("request.php", "<?php echo 'x';")
		})
	}
}

// TestBoot_Impostor has another process connect first.
func TestBoot_Impostor(t *testing.T) {
	s := newSite(t, `<?php while (frankenphp_handle_request(function () { echo 'x'; exit; })) {}`).start()
	w := s.mustLaunch()
	w.get("/")
	w.waitDone()
	// Its process is kept for the next script. It cannot connect while it is stopped.
	if err := syscall.Kill(w.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	type launched struct {
		w   *instance
		err error
	}
	done := make(chan launched, 1)
	go func() {
		w, err := s.launch()
		done <- launched{w, err}
	}()
	var socket string
	eventually(t, "the socket exists", func() bool {
		list, _ := filepath.Glob(filepath.Join(s.opts.RuntimeDir, "php-pool-*", "w2"))
		if len(list) == 1 {
			socket = list[0]
		}
		return socket != ""
	})
	for range 3 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("\x01\x64\x00\x00\x00\x1a\x00\x00ABCDEFGHIJKLMNOPQRSTUVWXYZ\x01\x65\x00\x00\x00\x00\x00\x00"))
		conn.SetReadDeadline(time.Now().Add(waitLimit))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection was not closed: %v", err)
		}
	}
	if err := syscall.Kill(w.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	next := <-done
	if next.err != nil {
		t.Fatal(next.err)
	}
	if next.w.PID() != w.PID() || next.w.get("/").body != "x" {
		t.Error("another worker was launched")
	}
	if exists(socket) {
		t.Error("the socket is left")
	}
}

// TestScript_Ends has requests after which the script or its process is gone.
func TestScript_Ends(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, loop, kind)
		s.write("request.php", `<?php
			echo 'x';
			switch ($_GET['do'] ?? '') {
				case 'exit': exit;
				case 'segv': posix_kill(getmypid(), SIGSEGV); sleep(20);
				case 'kill': posix_kill(getmypid(), SIGKILL); sleep(20);
				case 'fatal': eval('class AbstractError { abstract function f(); }');
				case 'memory': ini_set('memory_limit', '16M'); while (true) { $x[] = str_repeat('x', 100000); }
				case 'garbage': foreach (get_resources('stream') as $r) { $peer = @stream_socket_get_name($r, true); if ($peer !== false) { fwrite($r, 'garbage'); } } break;
				case 'close': foreach (get_resources('stream') as $r) { fclose($r); } break;
				case 'quiet': foreach (get_resources('stream') as $r) { @stream_socket_shutdown($r, STREAM_SHUT_WR); } break;
			}`)
		s.start()
		w := s.mustLaunch()
		for do, want := range map[string]struct {
			process bool   // it exits
			text    string // of ScriptEnd
			fails   bool   // without a response
		}{
			"exit": {}, "fatal": {text: "PHP Fatal error:  Class AbstractError contains 1 abstract method"},
			"memory": {text: "PHP Fatal error:  Allowed memory size of"},
			"segv":   {process: true, fails: true}, "kill": {process: true, fails: true},
			"garbage": {fails: true}, "close": {fails: true, text: "PHP Fatal error:  Uncaught TypeError: fwrite()"}, "quiet": {fails: true},
		} {
			if a := w.get("/"); a.body != "x" {
				t.Errorf("before %s: got %q", do, a.body)
			}
			pid := w.PID()
			res := w.do(request{uri: "/?do=" + do})
			if (res.err != nil) != want.fails {
				t.Errorf("%s: got %+v", do, res)
			}
			if w.conn.Broken() {
				w.Kill()
				want.process = true
			}
			w.waitDone()
			text, ended := w.Process.(interface{ ScriptEnd() (string, bool) }).ScriptEnd()
			if ended == want.process || !strings.HasPrefix(text, want.text) {
				t.Errorf("%s: got the end %q, %t", do, text, ended)
			}
			if status := w.ExitStatus(); want.process == (status == "") && (s.single || do != "kill" && do != "segv" && !want.process) {
				t.Errorf("%s: got exit status %q", do, status)
			}
			next := s.mustLaunch()
			if same := next.PID() == pid; same == want.process {
				t.Errorf("%s: the next script is in the same process: %t", do, same)
			}
			if err := w.Kill(); err != nil { // of a script that has ended
				t.Error(err)
			}
			if err := w.SoftTimeout(); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("SoftTimeout: got %v", err)
			}
			w.stop()
			w = next
		}
		if a := w.get("/"); a.body != "x" {
			t.Errorf("at the end: got %q", a.body)
		}
	})
}

// TestScript_Fork has a script that copies its process.
func TestScript_Fork(t *testing.T) {
	s := newLoop(t, `<?php
		$pid = pcntl_fork();
		if ($pid === 0) {
			echo 'copy';
			switch ($_GET['do']) {
				case 'exit': exit;
				case 'return': return;
				case 'throw': throw new Exception('in the copy');
			}
		}
		pcntl_waitpid($pid, $status);
		echo 'original';`)
	w := s.start().mustLaunch()
	for _, do := range []string{"exit", "return", "throw", "exit", "return"} {
		if a := w.get("/?do=" + do); a.body != "original" {
			t.Errorf("%s: got %q", do, a.body)
		}
		if !w.conn.Reusable() || w.conn.Check() != nil {
			t.Fatalf("%s: the connection is not reusable", do)
		}
	}
	if list, err := filepath.Glob("/proc/[0-9]*/stat"); err == nil {
		for _, path := range list {
			text, _ := os.ReadFile(path)
			if strings.Contains(string(text), fmt.Sprintf(" %d ", w.PID())) && strings.Contains(string(text), "(php-cgi) S "+fmt.Sprint(w.PID())) {
				t.Errorf("a copy is left: %s", text)
			}
		}
	}
	w.stop()
}

func TestScript_Stop(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, `<?php
			while (frankenphp_handle_request(function () { echo 'x'; })) {}
			file_put_contents(__DIR__ . '/cleanup', frankenphp_handle_request(function () {}) ? 'true' : 'false');
			if (isset($_SERVER['HANG'])) { while (true) {} }`, kind).start()
		w := s.mustLaunch()
		w.get("/")
		w.stop()
		if got, err := os.ReadFile(s.dir + "/cleanup"); err != nil || string(got) != "false" {
			t.Errorf("got %q, %v", got, err)
		}
		if syscall.Kill(w.PID(), 0) == nil && processState(w.PID()) != "Z" {
			t.Error("the process is left")
		}
		w.stop() // again
		if _, ended := w.Process.(interface{ ScriptEnd() (string, bool) }).ScriptEnd(); ended {
			t.Error("the process is said to live")
		}
	})
}

func processState(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	return string(text[strings.LastIndexByte(string(text), ')')+2])
}

// TestScript_StopHangs stops a script that does not end.
func TestScript_StopHangs(t *testing.T) {
	s := newSite(t, `<?php while (frankenphp_handle_request(function () { echo 'x'; })) {} while (true) {}`).start()
	w := s.mustLaunch()
	w.get("/")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
	w.waitDone()
	s.mustLaunch().get("/")
}

func TestScript_SoftTimeout(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, loop, kind)
		s.write("request.php", `<?php echo 'x'; if (isset($_GET['spin'])) { touch(__DIR__ . '/spins'); while (true) {} }`)
		w := s.start().mustLaunch()
		w.get("/")
		stopped := make(chan error, 1)
		go func() {
			for !exists(s.dir + "/spins") {
				time.Sleep(time.Millisecond)
			}
			stopped <- w.SoftTimeout()
		}()
		a := w.get("/?spin")
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if a.status != 500 || !strings.Contains(a.stderr, "Maximum execution time") {
			t.Errorf("got %+v", a)
		}
		w.waitDone()
		if text, ended := w.Process.(interface{ ScriptEnd() (string, bool) }).ScriptEnd(); !ended || !strings.Contains(text, "Maximum execution time") {
			t.Errorf("got the end %q, %t", text, ended)
		}
		s.mustLaunch().get("/")
	})
}

// TestScript_Interrupted ends the connection as a pool does when a process dies.
func TestScript_Interrupted(t *testing.T) {
	s := newLoop(t, `<?php sleep(1000);`).start()
	w := s.mustLaunch()
	go func() {
		w.Kill()
		<-w.Done()
		w.conn.Interrupt(fastcgi.ErrClosed)
	}()
	if res := w.do(request{uri: "/"}); res.err == nil {
		t.Errorf("got %+v", res)
	}
}

// TestBoot_Closed closes the launcher while scripts start.
func TestBoot_Closed(t *testing.T) {
	kinds(t, func(t *testing.T, kind func(*site)) {
		t.Helper()
		s := newSite(t, `<?php touch(__DIR__ . '/' . getmypid() . '.booting'); while (true) {}`, kind).start()
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := s.launch()
				errs <- err
			}()
		}
		eventually(t, "both scripts run", func() bool {
			list, _ := filepath.Glob(s.dir + "/*.booting")
			return len(list) == 2
		})
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		defer cancel()
		if err := s.launcher.Close(ctx); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, phpbin.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := s.launch(); !errors.Is(err, phpbin.ErrClosed) {
			t.Errorf("after Close: got %v", err)
		}
	})
}
