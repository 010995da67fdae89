package phpbin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// eval writes a script that evaluates code, and returns what a worker outputs for it.
func eval(t *testing.T, p *phpbin.Process, code string) string {
	t.Helper()
	file := filepath.Join(worldWritableDir(t), "eval.php")
	if err := os.WriteFile(file, []byte("<?php "+code), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sendPath(p.Conn(), file, nil); err != nil {
		t.Fatal(err)
	}
	_, body, err := receive(p.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// forKindsAndUsers runs a test in both spawn modes, as our user and as another one.
func forKindsAndUsers(t *testing.T, test func(t *testing.T, kind string, o phpbin.Options)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, kind, options(t)) })
		if os.Getuid() != 0 {
			continue // only root can become another user
		}
		t.Run(kind+" as www-data", func(t *testing.T) {
			o := options(t)
			o.Credential = wwwData(t)
			test(t, kind, o)
		})
	}
}

// Programs that scripts start have a stdin at its end, and PHP is among them.
func TestStdin_EndOfFile(t *testing.T) {
	forKindsAndUsers(t, func(t *testing.T, kind string, o phpbin.Options) {
		t.Helper()
		p := mustLaunch(t, startLauncher(t, kind, o))
		for code, want := range map[string]string{
			`echo shell_exec('cat; echo rc=$?');`:         "rc=0\n",
			`echo shell_exec('sort; echo rc=$?');`:        "rc=0\n",
			`passthru('readlink /proc/self/fd/0');`:       os.DevNull + "\n",
			`var_dump(file_get_contents('php://stdin'));`: "string(0) \"\"\n",
			`$p = proc_open('cat; echo rc=$?', [1 => ['pipe', 'w']], $pipes); echo stream_get_contents($pipes[1]);`: "rc=0\n",
		} {
			if got := eval(t, p, code); got != want {
				t.Errorf("%s: got %q, want %q", code, got, want)
			}
		}
		script := filepath.Join(worldWritableDir(t), "x.php")
		if err := os.WriteFile(script, []byte(`<?php echo 'ran in ', PHP_SAPI;`), 0o644); err != nil {
			t.Fatal(err)
		}
		code := `echo shell_exec(PHP_BINARY . ' -q ` + script + `');`
		if got := eval(t, p, code); got != "ran in cgi-fcgi" {
			t.Errorf("php-cgi in a script: got %q", got)
		}
	})
}

func TestOutput_StdoutAndStderr(t *testing.T) {
	forKindsAndUsers(t, func(t *testing.T, kind string, o phpbin.Options) {
		t.Helper()
		var output entries
		o.Output = output.add
		p := mustLaunch(t, startLauncher(t, kind, o))
		code := `
			file_put_contents('php://stdout', "to stdout\n");
			file_put_contents('php://stderr', "to stderr\n");
			ini_set('error_log', '/dev/stderr');
			error_log('to error_log');
			$p = proc_open('echo program; echo error >&2', [], $pipes);
			proc_close($p);
			$p = proc_open('echo again >/dev/stderr', [], $pipes);
			proc_close($p);
			echo 'response';`
		if got := eval(t, p, code); got != "response" {
			t.Errorf("got the response %q", got)
		}
		pid := 0
		if kind == "single" {
			pid = p.PID()
		}
		for _, want := range []phpbin.Output{
			{Text: "to stdout", Stdout: true, PID: pid},
			{Text: "to stderr", PID: pid},
			{Text: "program", Stdout: true, PID: pid},
			{Text: "error", PID: pid},
			{Text: "again", PID: pid},
		} {
			eventually(t, waitLimit, fmt.Sprintf("written: %+v", want), func() bool {
				return slices.Contains(output.all(), want)
			})
		}
		eventually(t, waitLimit, "written: to error_log", func() bool { return strings.Contains(output.String(), "] to error_log\n") })
	})
}

// What workers write without a newline, at the same time, is not glued together.
func TestOutput_WithoutNewline(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var output entries
			o := options(t)
			o.Output = output.add
			l := startLauncher(t, kind, o)
			var all sync.WaitGroup
			var want []string
			for i := range 4 {
				p := mustLaunch(t, l)
				for _, stream := range []string{"stdout", "stderr"} {
					want = append(want, fmt.Sprintf("%s of worker %d", stream, i))
				}
				all.Go(func() {
					eval(t, p, fmt.Sprintf(`foreach (['stdout', 'stderr'] as $s) file_put_contents("php://$s", "$s of worker %d");`, i))
				})
			}
			all.Wait()
			texts := func() (list []string) {
				for _, o := range output.all() {
					list = append(list, o.Text)
				}
				slices.Sort(list)
				return list
			}
			slices.Sort(want)
			eventually(t, waitLimit, "written", func() bool { return len(texts()) >= len(want) })
			if got := texts(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestOutput_PartsOfLine(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			var output entries
			o := options(t)
			o.Output = output.add
			p := mustLaunch(t, startLauncher(t, kind, o))
			long := strings.Repeat("x", 10000)
			eval(t, p, `$f = fopen('php://stderr', 'w');
				foreach (["OPcache (1): ", "Error ", "message", "\n", "starting ... ", "done\r\n", "one\ntwo", "\r\n\n"] as $part) fwrite($f, $part);
				fwrite($f, str_repeat('x', 10000) . "\n");`)
			want := "OPcache (1): Error message\nstarting ... done\none\ntwo\n" + long + "\n"
			eventually(t, waitLimit, "written", func() bool { return strings.HasSuffix(output.String(), "x\n") })
			if got := output.String(); got != want {
				t.Errorf("got %.200q, want %.200q", got, want)
			}
		})
	}
}

// A script, or a program that it starts (ssh, node), may make its stdin non-blocking.
// If the workers accepted on that, those that accept next would exit at once, and the
// master would fork without end (main/fastcgi.c does not poll before accept).
func TestStdin_NonBlocking(t *testing.T) {
	o := options(t)
	o.Slots = 2
	l := startLauncher(t, "shared", o)
	p := mustLaunch(t, l)
	code := `var_dump(stream_set_blocking(fopen('php://stdin', 'r'), false));
		var_dump(@fopen('php://fd/4', 'r'));`
	if got := eval(t, p, code); got != "bool(true)\nbool(false)\n" {
		t.Errorf("got %q", got)
	}
	if err := p.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	q := mustLaunch(t, l)
	twoChildren := func() (list []int) {
		eventually(t, waitLimit, "two children", func() bool {
			list = children(l.MasterPID())
			return len(list) == 2
		})
		return list
	}
	before := twoChildren()
	for range 100 {
		if got := run(t, q, "pid.php", nil); got != strconv.Itoa(q.PID()) {
			t.Errorf("the script reports pid %s, want %d", got, q.PID())
		}
	}
	if after := twoChildren(); !slices.Equal(after, before) {
		t.Errorf("got the children %v, later %v", before, after)
	}
}
