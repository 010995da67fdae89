package worker_test

import (
	"fmt"
	"os"
	"testing"
)

// TestRequest_StateOfScript checks what an application keeps, as with FrankenPHP.
func TestRequest_StateOfScript(t *testing.T) {
	s := newLoop(t, `<?php
		static $n = 0; // of an included file: new each time
		class_exists('Kept') || eval('class Kept { static $n = 0; static function next() { return ++self::$n; } }');
		echo ++$n, Kept::next(), ini_get('precision'), getenv('KEPT') ?: 'unset', count($GLOBALS['list'] ??= []);
		ini_set('precision', '5'); putenv('KEPT=1'); $GLOBALS['list'][] = 1;`)
	w := s.start().mustLaunch()
	if a := w.get("/"); a.body != "1114unset0" {
		t.Errorf("got %q", a.body)
	}
	if a := w.get("/"); a.body != "12511" {
		t.Errorf("got %q", a.body)
	}
}

func TestRequest_OPcacheReset(t *testing.T) {
	s := newLoop(t, `<?php echo json_encode(opcache_reset()); if (isset($_GET['exit'])) { exit; }`)
	w := s.start().mustLaunch()
	if a := w.get("/"); a.body != "true" || s.resets != 1 {
		t.Errorf("got %q, %d resets", a.body, s.resets)
	}
	if a := w.get("/?exit"); a.body != "true" || s.resets != 2 {
		t.Errorf("got %q, %d resets", a.body, s.resets)
	}
}

// TestRequest_KeepsIncludes checks that a file is included once for the life of the
// script, and that $_ENV stays.
func TestRequest_KeepsIncludes(t *testing.T) {
	s := newLoop(t, `<?php include_once __DIR__ . '/once.php'; $_ENV['n'] = ($_ENV['n'] ?? 0) + 1; echo $GLOBALS['included'], $_ENV['n'];`)
	s.write("once.php", `<?php $GLOBALS['included'] = ($GLOBALS['included'] ?? 0) + 1;`)
	w := s.start().mustLaunch()
	for i := 1; i <= 3; i++ {
		if a := w.get("/"); a.body != fmt.Sprintf("1%d", i) {
			t.Errorf("request %d: got %q", i, a.body)
		}
	}
}

// TestScript_ShutdownAtItsEnd checks that shutdown functions and destructors of global
// objects run when the script ends, and not after a request.
func TestScript_ShutdownAtItsEnd(t *testing.T) {
	s := newLoop(t, `<?php
		if (!class_exists('Last', false)) { eval('class Last { public $n = 0; function __destruct() { file_put_contents("' . __DIR__ . '/destroyed", $this->n); } }'); }
		$GLOBALS['last'] ??= new Last;
		$n = ++$GLOBALS['last']->n;
		register_shutdown_function(function () use ($n) { file_put_contents(__DIR__ . '/shutdown', $n, FILE_APPEND); });
		echo $n, json_encode([file_exists(__DIR__ . '/shutdown'), file_exists(__DIR__ . '/destroyed')]);`)
	w := s.start().mustLaunch()
	for i := 1; i <= 3; i++ {
		if a, want := w.get("/"), fmt.Sprintf("%d[false,false]", i); a.body != want {
			t.Errorf("got %q, want %q", a.body, want)
		}
	}
	w.stop()
	for name, want := range map[string]string{"shutdown": "123", "destroyed": "3"} {
		if got, err := os.ReadFile(s.dir + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestRequest_NotOfThisRequest checks what a worker script cannot get of its request, and
// functions of FrankenPHP that are not there.
func TestRequest_NotOfThisRequest(t *testing.T) {
	s := newLoop(t, `<?php
		ob_start('ob_gzhandler');
		echo json_encode([getenv('REMOTE_ADDR'), $_SERVER['REMOTE_ADDR'], function_exists('mercure_publish'), PHP_SAPI, ob_get_level()]);
		ob_end_flush();`, func(s *site) {
		s.ini("zlib.output_compression", "1")
		s.ini("output_buffering", "0")
	})
	w := s.start().mustLaunch()
	for range 2 {
		a := w.do(request{uri: "/", header: map[string]string{"Accept-Encoding": "gzip"}})
		if a.body != `[false,"203.0.113.7",false,"cgi-fcgi",1]` || a.header.Get("Content-Encoding") != "" {
			t.Errorf("got %q, %v", a.body, a.header)
		}
	}
}

// TestRequest_HeadersOfFrankenPHP has FrankenPHP's names of functions of PHP.
func TestRequest_HeadersOfFrankenPHP(t *testing.T) {
	s := newLoop(t, `<?php header('X-A: 1'); echo json_encode([frankenphp_request_headers() === getallheaders(), frankenphp_request_headers()['X-Foo'] ?? '', frankenphp_response_headers()['X-A'] ?? '']);`)
	w := s.start().mustLaunch()
	if a := w.do(request{uri: "/", header: map[string]string{"X-Foo": "bar"}}); a.body != `[true,"bar","1"]` {
		t.Errorf("got %q", a.body)
	}
}
