//go:build linux

package fpm

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMSame sends the same requests to php-fpm and to `caddy php-pool fpm` that have the
// same configuration.
func TestFPMSame(t *testing.T) {
	t.Parallel()
	const lines = `pm = dynamic
pm.max_children = 3
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = 2
pm.status_path = /fpm-status
ping.path = /fpm-ping
ping.response = it works
security.limit_extensions = .php .php5
env[PLAIN] = a "b" $c
env[COPIED] = $FPM_TEST
env[MISSING] = $FPM_NOT_SET
env[TMP] = /tmp/$pool
access.log = DIR/$pool.access.log
access.format = "%R|%u|%m|%r%Q%q|%s|%f|%l|%n|%{PLAIN_PARAM}e|%{X-Powered-By}o|%%"
access.suppress_path[] = /fpm-ping
access.suppress_path[] = /hello.php
php_value[memory_limit] = 64M
php_flag[display_errors] = on
php_admin_value[open_basedir] = "/:/tmp"
php_admin_flag[log_errors] = on
php_admin_value[disable_functions] = exec,passthru
php_admin_value[date.timezone] = "Europe/Berlin"
`
	type response struct {
		status int
		text   string
	}
	responses := map[bool]map[string]response{}
	for _, own := range []bool{false, true} {
		i := newInstance(t, own, "")
		i.configure(strings.ReplaceAll(lines, "DIR", i.dir))
		i.addINI("disable_functions = shell_exec, system")
		i.start()
		s := i.site("env PLAIN_PARAM x", "split .php .php5")
		harness.WriteFile(t, filepath.Join(s.Site, "settings.php"), `<?php
			ini_set('open_basedir', '/nowhere'); ini_set('memory_limit', '32M');
			foreach (['memory_limit', 'display_errors', 'open_basedir', 'log_errors', 'date.timezone', 'upload_max_filesize'] as $name) {
				echo $name, '=', ini_get($name), "\n";
			}
			foreach (['exec', 'system', 'shell_exec', 'popen'] as $name) {
				echo $name, function_exists($name) ? ' exists' : ' is disabled', "\n";
			}
			foreach (['PLAIN', 'COPIED', 'MISSING', 'TMP', 'FPM_TEST', 'PLAIN_PARAM'] as $name) {
				echo $name, '=', var_export(getenv($name), true), var_export($_SERVER[$name] ?? null, true), "\n";
			}
			echo posix_getuid(), ' ', get_current_user(), ' ', getenv('USER'), ' ', getenv('HOME'), "\n";`)
		responses[own] = map[string]response{}
		send := func(method, path string, headers ...string) {
			req := s.Request(method, path, nil, headers...)
			if method == "POST" {
				req = s.Request(method, path, strings.NewReader("a=b&c[]=d"), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
			}
			res := s.Do(req)
			text := strings.NewReplacer(s.Dir, "DIR", req.URL.Host, "HOST", i.dir, "FPM").Replace(res.Text)
			responses[own][method+" "+path] = response{res.StatusCode, text}
		}
		send("GET", "/settings.php")
		send("GET", "/hello.php")
		send("GET", "/server.php/path/info?a=b")
		send("POST", "/form.php")
		send("GET", "/old.php5")
		send("GET", "/fpm-ping")
		send("GET", "/missing.php")
		send("GET", "/die.php")
		send("HEAD", "/hello.php")
		if res := s.Get("/fpm-status?json"); res.StatusCode != 200 || !strings.Contains(res.Text, `"pool":"www"`) {
			t.Errorf("status page: %d: %s", res.StatusCode, res.Text)
		}
		i.Signal(syscall.SIGTERM)
		i.waitExit(0)
		log := harness.ReadFile(t, filepath.Join(i.dir, "www.access.log"))
		log = died.ReplaceAllString(log, "")
		responses[own]["access.log"] = response{strings.Count(log, "\n"), strings.ReplaceAll(log, s.Dir, "DIR")}
	}
	if log := responses[false]["access.log"]; log.status < 6 || strings.Contains(log.text, "GET|/fpm-ping|") {
		t.Errorf("the access log of php-fpm has %d lines:\n%s", log.status, log.text)
	}
	for _, name := range slices.Sorted(maps.Keys(responses[false])) {
		got, want := responses[true][name], responses[false][name]
		switch {
		case strings.Contains(name, "die.php"): // php-fpm closes the connection
			got.text = ""
		case strings.Contains(name, "server.php"):
			got.text, want.text = variables(t, got.text), variables(t, want.text)
		}
		if got != want {
			t.Errorf("%s: got %d\n%s\nbut php-fpm %d\n%s", name, got.status, got.text, want.status, want.text)
		}
	}
}

// died matches the line of a script that kills its process: php-fpm has none.
var died = regexp.MustCompile(`(?m)^.*\|502\|.*\n`)

// variables returns $_SERVER without what is never the same.
func variables(t *testing.T, text string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	// php-cgi has these in its environment.
	for _, name := range []string{"REQUEST_TIME", "REQUEST_TIME_FLOAT", "REMOTE_PORT", "SERVER_PORT", "PATH", "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "PHP_INI_SCAN_DIR", "LANG", "TZ", "TMPDIR"} {
		delete(all, name)
	}
	out, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
