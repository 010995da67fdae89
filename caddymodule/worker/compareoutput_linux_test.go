package worker_test

import (
	"net/http"
	"strings"
	"testing"
)

var output = []comparison{
	{"headers", `<?php header('Foo: bar'); header('Foo2: a'); header('Foo2: b', false); header('Foo3:bar3'); setcookie('a', 'b c'); setcookie('z', '1', ['httponly' => true]);
		http_response_code(201); $list = json_encode(headers_list()); echo $list;`, get("/")},
	{"no headers", `<?php $list = http_response_code() . json_encode(headers_list()); echo $list;`, get("/")},
	{"status line", `<?php header('HTTP/1.1 418 Teapot'); echo http_response_code();`, get("/")},
	{"location", `<?php header('Location: /x');`, get("/")},
	{"location 303", `<?php header('Location: /x', true, 303); echo 'x';`, get("/")},
	{"status 204", `<?php http_response_code(204);`, get("/")},
	{"content type", `<?php header('Content-Type: text/plain'); echo 'x';`, get("/")},
	{"content type without charset", `<?php header('Content-Type: application/json'); echo '{}';`, get("/")},
	{"removed header", `<?php header('X-A: 1'); header('X-B: 2'); header_remove('X-A'); header_remove('X-Powered-By'); echo 'x';`, get("/")},
	{"all removed", `<?php header('X-A: 1'); header_remove(); echo json_encode(headers_list());`, get("/")},
	{"callback", `<?php header_register_callback(function () { header('X-Cb: 1'); }); header_register_callback(function () { header('X-Cb2: 1'); }); echo 'x';`, get("/")},
	{"response headers", `<?php header('X-A: 1'); var_dump(apache_response_headers());`, get("/")},
	{"content length", `<?php header('Content-Length: 3'); echo 'abc';`, get("/")},
	{"head", `<?php header('X-A: 1'); echo str_repeat('x', 100000); flush(); echo 'y';`, []request{{method: http.MethodHead, uri: "/"}}},
	{"late header", `<?php echo 'x'; @ob_flush(); flush(); var_dump(headers_sent()); @header('X-Late: 1'); echo 'y';`, get("/")},
	{"levels", `<?php echo 'level ', ob_get_level(), json_encode(array_slice(ob_list_handlers(), 0, 0)); ob_start(); ob_start(null); echo ' open ', ob_get_level();`, get("/")},
	{"loop over levels", `<?php echo 'a'; while (ob_get_level() > 0) { ob_end_clean(); } echo 'ok', ob_get_level();`, get("/")},
	{"flush all levels", `<?php ob_start(); echo 'a'; ob_start(); echo 'b'; while (ob_get_level() > 0) { ob_end_flush(); } echo 'ok', ob_get_level();`, get("/")},
	{"clean", `<?php echo 'A'; @ob_clean(); echo 'B'; $x = @ob_get_clean(); echo 'C', $x;`, get("/")},
	{"callback of a buffer", `<?php ob_start(fn ($b) => strtoupper($b)); echo 'upper';`, get("/")},
	{"callback by parts", `<?php ob_start(fn ($b, $p) => "[$b:$p]", 4); echo 'abcd'; echo 'ef'; ob_flush(); echo 'g';`, get("/")},
	{"big", `<?php echo str_repeat('0123456789', 100000);`, get("/")},
	{"many writes", `<?php for ($i = 0; $i < 20000; $i++) { echo $i, "\n"; }`, get("/")},
	{"empty", `<?php`, get("/")},
	{"print_r and printf", `<?php print_r([1]); printf('%05d', 3); print 'x'; var_dump(1.5); ?>inline <?= 'tag' ?>
text`, get("/")},
	{"output stream", `<?php file_put_contents('php://output', 'OUT'); $f = fopen('php://output', 'w'); fwrite($f, 'x'); fclose($f);`, []request{{uri: "/"}, post("application/json", "{}")}},
	{"programs", `<?php passthru('echo from program'); system('echo sys'); echo exec('echo exec'), shell_exec('echo shell');`, get("/")},
	{"files", `<?php file_put_contents(__DIR__ . '/text', "text\n"); readfile(__DIR__ . '/text'); $f = fopen(__DIR__ . '/text', 'r'); fpassthru($f);`, get("/")},
	{"fiber", `<?php $f = new Fiber(function () { echo 'in '; Fiber::suspend(); echo 'fiber'; }); $f->start(); $f->resume();`, get("/")},
	{"implicit flush", `<?php ob_implicit_flush(); echo 'a'; ob_implicit_flush(false); echo 'b';`, get("/")},
	{"rewritten variables", `<?php output_add_rewrite_var('v', '1'); echo '<a href="x.php">a</a>'; output_reset_rewrite_vars();`, get("/")},
	{"undefined variable", `<?php echo $undefined; error_log('from error_log'); echo 'ok';`, get("/")},
	{"last error", `<?php echo json_encode(error_get_last() === null ? null : 'error'); echo $undefined;`, get("/", "/")},
	{"exception", `<?php echo 'hello'; throw new Exception('uncaught one');`, get("/")},
	{"nested exception", `<?php function f($x) { throw new LogicException('outer', 3, new RuntimeException('<inner>')); } f('a');`, get("/")},
	{"exception after flush", `<?php echo 'hello'; @ob_flush(); flush(); throw new Exception('late');`, get("/")},
	{"exception and status", `<?php http_response_code(404); throw new Exception('x');`, get("/")},
	{"exception and handler", `<?php set_exception_handler(function ($e) { restore_exception_handler(); http_response_code(418); echo 'handled ', $e->getMessage(); }); try { throw new Exception('x'); } finally { }`, get("/")},
	{"error", `<?php $f = 'nosuch'; $f();`, get("/")},
	{"type error", `<?php strlen();`, get("/")},
	{"exit", `<?php echo 'before'; exit('-exit');`, get("/")},
	{"exit with status", `<?php http_response_code(503); echo 'x'; exit(3);`, get("/")},
	{"exit in a buffer", `<?php ob_start(); echo 'buffered'; exit;`, get("/")},
	{"exit in a callback", `<?php array_map(function () { try { exit('in callback'); } finally { echo 'finally'; } }, [1, 2]);`, get("/")},
	{"fatal error", `<?php echo 'hello'; eval('class FatalError { abstract function f(); }');`, get("/")},
	{"fatal error after flush", `<?php echo 'hello'; @ob_flush(); flush(); eval('class FatalError2 { abstract function f(); }');`, get("/")},
	{"parse error", `<?php eval('this is no PHP');`, get("/")},
	{"user error", `<?php echo 'x'; trigger_error('by the user', E_USER_ERROR); echo 'not reached';`, get("/")},
	{"memory limit", `<?php echo 'hello'; ini_set('memory_limit', '16M'); $x = []; while (true) { $x[] = str_repeat('x', 100000); }`, get("/")},
	{"memory limit after flush", `<?php echo 'hello'; @ob_flush(); flush(); echo 'lost'; ini_set('memory_limit', '16M'); $x = []; while (true) { $x[] = str_repeat('x', 100000); }`, get("/")},
	{"shutdown function at exit", `<?php register_shutdown_function(function () { echo '+shutdown'; @http_response_code(509); @header('X-Late: 1'); }); echo 'x'; exit;`, get("/")},
	{"destructor at exit", `<?php class AtExit { function __destruct() { echo 'destroyed'; } } $GLOBALS['at_exit'] = new AtExit; exit('x');`, get("/")},
	{"info", `<?php echo PHP_SAPI, php_sapi_name(), ini_get('max_execution_time');`, get("/")},
}

func TestCompare_Output(t *testing.T) { compare(t, output) }

func TestCompare_OutputUnbuffered(t *testing.T) {
	compare(t, output, func(s *site) { s.ini("output_buffering", "0") })
}

func TestCompare_OutputDisplayErrors(t *testing.T) {
	compare(t, output, func(s *site) { s.ini("display_errors", "1") })
}

func TestCompare_OutputSettings(t *testing.T) {
	compare(t, output, func(s *site) {
		s.ini("display_errors", "1")
		s.ini("html_errors", "0")
		s.ini("expose_php", "0")
		s.ini("default_charset", "")
		s.ini("error_prepend_string", "<<")
		s.ini("error_append_string", ">>")
		s.ini("log_errors", "0")
		s.ini("output_buffering", "1")
	})
}

func TestCompare_TimeLimit(t *testing.T) {
	compare(t, []comparison{
		{"time limit", `<?php echo 'hello'; set_time_limit(1); while (true) { }`, get("/")},
		{"time limit after flush", `<?php echo 'hello'; ob_flush(); flush(); set_time_limit(1); while (true) { }`, get("/")},
	})
}

// TestRequest_TimeLimit checks that each request has the max_execution_time of php.ini for
// itself, in processor time.
func TestRequest_TimeLimit(t *testing.T) {
	s := newLoop(t, `<?php
		$used = static function () { $u = getrusage(); return $u['ru_utime.tv_sec'] + $u['ru_stime.tv_sec'] + ($u['ru_utime.tv_usec'] + $u['ru_stime.tv_usec']) / 1e6; };
		for ($end = $used() + $_GET['cpu']; $used() < $end;) { }
		echo 'done', ini_get('max_execution_time');`, func(s *site) { s.ini("max_execution_time", "2") })
	w := s.start().mustLaunch()
	for range 3 {
		if a := w.get("/?cpu=1.2"); a.body != "done2" {
			t.Errorf("got %+v", a)
		}
	}
	if a := w.get("/?cpu=1000"); a.status != 500 || !strings.Contains(a.stderr, "Maximum execution time of 2") {
		t.Errorf("got %+v", a)
	}
	w.waitDone()
	if a := s.mustLaunch().get("/?cpu=0"); a.body != "done2" {
		t.Errorf("the next script: got %+v", a)
	}
}

// TestRequest_TimeLimitOfScript keeps the limit that a script sets before its requests.
func TestRequest_TimeLimitOfScript(t *testing.T) {
	for _, limit := range []string{"0", "77"} {
		s := newSite(t, `<?php set_time_limit(`+limit+`); while (frankenphp_handle_request(function () { echo ini_get('max_execution_time'); })) {}`)
		if a := s.start().mustLaunch().get("/"); a.body != limit {
			t.Errorf("got %q, want %s", a.body, limit)
		}
	}
}
