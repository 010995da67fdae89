//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// getenvScript shows single variables of PHP's environment: getenv without a name
// would add those of the request.
const getenvScript = `<?php
$names = explode(',', $_GET['names']);
echo json_encode(array_combine($names, array_map('getenv', $names)));
`

// getenv returns variables of PHP's environment from the Caddy that listens at a port;
// false is a variable that is not set.
func getenv(t *testing.T, s *harness.Server, port int, names ...string) map[string]any {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/getenv.php?names=%s", port, strings.Join(names, ","))
	res := harness.Do(t, s.Client, harness.NewRequest(t, "GET", url, nil))
	var got map[string]any
	if err := json.Unmarshal([]byte(res.Text), &got); err != nil {
		t.Fatalf("%v: %s", err, res.Text)
	}
	return got
}

// TestProcessEnv_Inherit compares `process_env inherit` with php-fpm's clear_env = no
// in the same environment: PHP sees the same variables, except those of Caddy and
// systemd.
func TestProcessEnv_Inherit(t *testing.T) {
	t.Parallel()
	environment := []string{
		"WORDPRESS_DB_HOST=db", "WORDPRESS_DEBUG=1", "APP_SECRET=a b=c", "EMPTY=", "lower=x",
		"INVOCATION_ID=1", "CADDY_ADMIN_TOKEN=secret", "CF_API_TOKEN=secret", "HTTP_PROXY=http://proxy",
	}
	passed := []string{"WORDPRESS_DB_HOST", "WORDPRESS_DEBUG", "APP_SECRET", "EMPTY", "lower", "PATH", "not_set"}
	withheld := []string{"INVOCATION_ID", "CADDY_ADMIN_TOKEN", "CF_API_TOKEN", "HTTP_PROXY"}

	s := harness.Prepare(t, harness.SharedLean, harness.Options{Env: environment})
	harness.WriteFile(t, filepath.Join(s.Site, "getenv.php"), getenvScript)
	fpm := harness.FPMCommand(t, s.Dir, harness.Options{Workers: 1})
	conf := filepath.Join(s.Dir, "fpm.conf")
	harness.WriteFile(t, conf, harness.ReadFile(t, conf)+"clear_env = no\n")
	fpm.Env = append(fpm.Env, environment...)
	harness.Supervise(t, fpm)
	harness.Eventually(t, func() error {
		_, err := os.Stat(filepath.Join(s.Dir, "fpm.sock"))
		return err
	})
	site := func(lines string) string {
		return `
			http://127.0.0.1:{$PORT} {
				root {$SITE}
				php_pool {
					workers 1
					` + lines + `
				}
			}
			http://127.0.0.1:{$PORT2} {
				root {$SITE}
				php_fastcgi unix/{$DIR}/fpm.sock
			}
		`
	}
	if err := s.Run(site("process_env inherit\nprocess_env lower y")); err != nil {
		t.Fatal(err)
	}
	got, want := getenv(t, s, s.Port, passed...), getenv(t, s, s.Port+1, passed...)
	want["lower"] = "y"
	for _, name := range passed {
		if got[name] != want[name] {
			t.Errorf("%s: got %v, want %v", name, got[name], want[name])
		}
	}
	for name, value := range getenv(t, s, s.Port, withheld...) {
		if value != false {
			t.Errorf("%s: got %v, want none", name, value)
		}
	}

	s.MustReload(site("process_env WORDPRESS_*\nprocess_env !*_DEBUG\nprocess_env CF_*"))
	for name, want := range map[string]any{
		"WORDPRESS_DB_HOST": "db", "WORDPRESS_DEBUG": false, "APP_SECRET": false, "CF_API_TOKEN": "secret", "HTTP_PROXY": false,
	} {
		if got := getenv(t, s, s.Port, name); got[name] != want {
			t.Errorf("patterns: %s: got %v, want %v", name, got[name], want)
		}
	}
	s.MustReload(site(""))
	for name, value := range getenv(t, s, s.Port, "WORDPRESS_DB_HOST", "APP_SECRET") {
		if value != false {
			t.Errorf("by default: %s: got %v, want none", name, value)
		}
	}
}

// TestProcessEnv_Placeholders replaces Caddy's placeholders in all options of a pool.
// The admin endpoint shows the placeholders, not the values.
func TestProcessEnv_Placeholders(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Env: []string{
		"SECRET=from the environment", "MEMORY=77M", "PHP_NAME=php-cgi", "TAG=tagged", "EMPTY=",
	}})
	harness.WriteFile(t, filepath.Join(s.Site, "getenv.php"), getenvScript)
	harness.WriteFile(t, filepath.Join(s.Site, "ini.php"), "<?php echo ini_get('memory_limit'), ' ', ini_get('user_agent');")
	secret := filepath.Join(s.Dir, "secret")
	harness.WriteFile(t, secret, "from a file\n")
	site := func(extra string) string {
		return `
			http://127.0.0.1:{$PORT} {
				root {$SITE}
				php_pool {
					name main
					workers 1
					binary {env.PHP_NAME}
					spool_dir {env.DIR}
					ini memory_limit {env.MEMORY}
					admin_ini user_agent {env.TAG}
					process_env FROM_ENV {env.SECRET}
					process_env FROM_FILE {file.` + secret + `}
					process_env BOTH "{env.TAG}-{system.os}"
					process_env EMPTY {env.EMPTY}
					process_env JSON ` + "`{\"a\": \"{env.TAG}\"}`" + `
					` + extra + `
				}
			}
		`
	}
	if err := s.Run(site("")); err != nil {
		t.Fatal(err)
	}
	want := func(file string) {
		t.Helper()
		got := getenv(t, s, s.Port, "FROM_ENV", "FROM_FILE", "BOTH", "EMPTY", "JSON")
		for name, value := range map[string]any{
			"FROM_ENV": "from the environment", "FROM_FILE": file, "BOTH": "tagged-linux", "EMPTY": "", "JSON": `{"a": "tagged"}`,
		} {
			if got[name] != value {
				t.Errorf("%s: got %v, want %v", name, got[name], value)
			}
		}
	}
	want("from a file")
	s.Get("/ini.php").Want(t, 200, "77M tagged")
	config := s.Admin("GET", "/config/", "").Text
	if strings.Contains(config, "from the environment") || strings.Contains(config, "from a file") || !strings.Contains(config, `"FROM_ENV":"{env.SECRET}"`) {
		t.Errorf("the admin endpoint shows %s", config)
	}

	// The generation depends on the values: the same ones keep it.
	before := s.Pool().Generation
	s.MustReload(site("max_queue 7"))
	if got := s.Pool().Generation; got != before {
		t.Errorf("the same values: got generation %d, want %d", got, before)
	}
	harness.WriteFile(t, secret, "another value\n")
	s.MustReload(site("max_queue 7"))
	want("another value")
	if got := s.Pool().Generation; got == before {
		t.Errorf("another value: got generation %d, want a new one", got)
	}
	harness.WriteFile(t, secret, "a third value\n")
	s.Admin("POST", "/php_pool/pools/main/restart", "").Want(t, 200, "")
	want("a third value")

	for line, says := range map[string]string{
		"process_env X {env.NOT_SET}":       "process_env X: {env.NOT_SET} has no value: set NOT_SET in the environment of Caddy, or remove the option",
		"ini user_agent {file./no/such}":    "ini user_agent: {file./no/such} has no value: no such file or directory: write the path of a file that Caddy can read",
		"process_env X {http.request.host}": "process_env X: {http.request.host} depends on the request, but php-cgi is started before it: write a fixed value, or env in the block of php_pool for a variable in $_SERVER",
		"ini_scan_dir /no/such/{env.TAG}":   "ini_scan_dir /no/such/tagged",
		"user {env.TAG}":                    "user tagged does not exist",
		"process_env X {system.hostnam}":    "process_env X: {system.hostnam} is not a placeholder of Caddy: correct it",
		"warmup /{env.NOT_SET}":             "warmup: {env.NOT_SET} has no value",
	} {
		err := s.Reload(site(line))
		if err == nil {
			t.Errorf("%s was accepted", line)
			continue
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", line, err, says)
		}
	}
	want("a third value") // the running config is the last good one
}

// TestEnv_Getenv compares where PHP sees the variables of env and process_env.
// docs/cgi-environment.md has this table.
func TestEnv_Getenv(t *testing.T) {
	t.Parallel()
	const site = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			PHP {
				env TENANT "t{http.request.uri.query.n}"
			}
		}
	`
	const script = `<?php
	header('Content-Type: application/json');
	$seen = [];
	foreach (['TENANT', 'PROCESS'] as $name) {
		$seen[$name] = [$_SERVER[$name] ?? null, getenv($name), getenv()[$name] ?? null, trim(shell_exec("printenv $name") ?? '')];
	}
	echo json_encode($seen);
	`
	b := harness.SharedLean
	b.Lines = append([]string{"process_env PROCESS p"}, b.Lines...)
	for name, c := range map[string]struct {
		backend harness.Backend
		want    string
	}{
		"php_pool": {b, `{"TENANT":["t1","t1",null,""],"PROCESS":["p","p","p","p"]}`},
		// Its getenv() has the variables of the request too.
		"php-fpm": {harness.FPM, `{"TENANT":["t1","t1","t1",""],"PROCESS":[null,false,null,""]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, c.backend, site)
			harness.WriteFile(t, filepath.Join(s.Site, "seen.php"), script)
			s.Get("/seen.php?n=1").Want(t, 200, c.want)
		})
	}
}
