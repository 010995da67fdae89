//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// stdioScripts start programs that read stdin, or read it themselves. {SITE} is the
// document root, and {PHP} php-cgi.
var stdioScripts = map[string]string{
	"cat":            `echo shell_exec('cat; echo rc=$?');`,
	"sort":           `echo shell_exec('sort; echo rc=$?');`,
	"head and wc":    `echo shell_exec('head -n 1 | wc -c');`,
	"proc_open":      `$p = proc_open('cat; echo rc=$?', [1 => ['pipe', 'w']], $pipes); echo stream_get_contents($pipes[1]);`,
	"php://stdin":    `var_dump(file_get_contents('php://stdin'));`,
	"php-cgi":        `echo shell_exec('{PHP} -q {SITE}/hello.php');`,
	"php-cgi, input": `echo shell_exec('echo "<?php echo PHP_SAPI;" | {PHP} -q');`,
	"php-cgi -v":     `echo substr(shell_exec('{PHP} -v'), 0, 4);`,
}

// TestStdio_Stdin compares what programs that a script starts read from stdin with what
// they read behind php-fpm.
func TestStdio_Stdin(t *testing.T) {
	t.Parallel()
	responses := func(t *testing.T, b harness.Backend) map[string]string {
		s := harness.Start(t, b, harness.PlainSite)
		got := map[string]string{}
		for name, code := range stdioScripts {
			code = strings.NewReplacer("{SITE}", s.Site, "{PHP}", harness.PHPCGI(t)).Replace(code)
			harness.WriteFile(t, filepath.Join(s.Site, "stdio.php"), "<?php "+code)
			response := s.Get("/stdio.php?" + strings.ReplaceAll(name, " ", "+"))
			got[name] = fmt.Sprint(response.StatusCode, " ", response.Text)
		}
		return got
	}
	want := responses(t, harness.FPM)
	for name, part := range map[string]string{"cat": "rc=0", "php-cgi": "hello", "php-cgi, input": "cgi-fcgi", "php://stdin": `string(0) ""`} {
		if !strings.Contains(want[name], part) {
			t.Errorf("%s: php-fpm responds %q, and it should contain %q", name, want[name], part)
		}
	}
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		diff(t, want, responses(t, b))
	})
}

// TestStdio_Log writes to stdout and stderr without a newline: from scripts at the same
// time, and from programs one after the other, because a program that opens /dev/stdout
// gets a pipe without O_DIRECT, where the kernel may join its writes with others.
func TestStdio_Log(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		harness.WriteFile(t, filepath.Join(s.Site, "script.php"), `<?php
			foreach (['stdout', 'stderr'] as $stream) file_put_contents("php://$stream", "script $_GET[n]");
			echo 'done';`)
		harness.WriteFile(t, filepath.Join(s.Site, "program.php"), `<?php
			foreach (['stdout', 'stderr'] as $stream) proc_close(proc_open("printf 'program $_GET[n]' >/dev/$stream", [], $pipes));
			echo 'done';`)
		var want []string
		logged := func() error {
			got := map[string]int{}
			for _, entry := range s.Logged("php-cgi") {
				for _, stream := range []string{"stdout", "stderr"} {
					if text, ok := entry[stream]; ok {
						got[fmt.Sprintf("%s=%v", stream, text)]++
					}
				}
				if pid, ok := entry["pid"]; ok != (b.Name == harness.SingleLean.Name) {
					t.Errorf("got pid %v: %v", pid, entry)
				}
			}
			for _, text := range want {
				if got[text] != 1 {
					return fmt.Errorf("%q was logged %d times, want once: %v", text, got[text], got)
				}
			}
			return nil
		}
		var all sync.WaitGroup
		for n := range 2 {
			want = append(want, fmt.Sprint("stdout=script ", n), fmt.Sprint("stderr=script ", n))
			all.Go(func() { s.Get(fmt.Sprint("/script.php?n=", n)).Want(t, 200, "done") })
		}
		all.Wait()
		harness.Eventually(t, logged)
		for n := range 2 {
			want = append(want, fmt.Sprint("stdout=program ", n), fmt.Sprint("stderr=program ", n))
			s.Get(fmt.Sprint("/program.php?n=", n)).Want(t, 200, "done")
			harness.Eventually(t, logged)
		}
	})
}

// diff compares what two backends respond, by name.
func diff(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name, w := range want {
		if g := got[name]; g != w {
			t.Errorf("%s: got %q, php_fastcgi responds %q", name, g, w)
		}
	}
}
