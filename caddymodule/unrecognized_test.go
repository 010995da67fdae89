package caddymodule

import (
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// adaptError returns the error for a line in the block of php_pool, or in the global
// option php_pool, without its place.
func adaptError(t *testing.T, where place, line string) string {
	t.Helper()
	caddyfile := "example.com {\nphp_pool {\n" + line + "\n}\n}\n"
	if where == inGlobal {
		caddyfile = "{\nphp_pool {\n" + line + "\n}\n}\n"
	}
	got, ok := strings.CutPrefix(adapt(t, caddyfile), "error: ")
	if !ok {
		t.Fatalf("%s: accepted", line)
	}
	if _, rest, ok := strings.Cut(got, "'php_pool': "); ok {
		got = rest
	}
	text, _, ok := strings.Cut(got, ", at Caddyfile:3")
	if !ok || strings.Contains(text, "\n") {
		t.Fatalf("%s: got %q, without the line", line, got)
	}
	return text
}

func TestUnrecognized_Lines(t *testing.T) {
	for line, want := range map[string]string{
		// php-fpm
		"pm dynamic":           "pm is an option of php-fpm: write manager dynamic",
		"pm = ondemand":        "pm is an option of php-fpm: write manager ondemand",
		"pm=static":            "pm is an option of php-fpm: write manager static",
		"pm.max_children 5":    "pm.max_children is an option of php-fpm: write max_workers 5, or for pm static workers 5",
		"pm.max_children = 5":  "pm.max_children is an option of php-fpm: write max_workers 5, or for pm static workers 5",
		"pm.max_children":      "pm.max_children is an option of php-fpm: write max_workers <value>, or for pm static workers <value>",
		"pm.status_path /st":   "pm.status_path is an option of php-fpm: write the directive php_pool_status /st in the site",
		"pm.max_requests 0":    "pm.max_requests is an option of php-fpm: write max_requests 0",
		"rlimit_files 1024":    "rlimit_files is an option of php-fpm: write rlimit_nofile 1024",
		"clear_env no":         "clear_env is an option of php-fpm: write process_env inherit",
		"clear_env = yes":      "clear_env is an option of php-fpm: remove it, because PHP gets no variable of Caddy's environment unless process_env passes it",
		"listen /run/php.sock": "listen is an option of php-fpm: remove it, because Caddy starts php-cgi itself and needs no address",
		"group www-data":       "group is an option of php-fpm: write user <user>:www-data",
		"chdir /":              "chdir is an option of php-fpm: remove it, because PHP runs each script in the script's directory",

		"request_terminate_timeout 300":            "request_terminate_timeout is an option of php-fpm: write request_timeout 300s",
		"request_terminate_timeout = 5m":           "request_terminate_timeout is an option of php-fpm: write request_timeout 5m",
		"request_terminate_timeout 0s":             "request_terminate_timeout is an option of php-fpm: write request_timeout off",
		"request_slowlog_timeout":                  "request_slowlog_timeout is an option of php-fpm: write slow_request <duration>",
		"catch_workers_output yes":                 "catch_workers_output is an option of php-fpm: remove it, because the output of PHP is in Caddy's log",
		"catch_workers_output no":                  "catch_workers_output is an option of php-fpm: write capture_stderr off in the block of php_pool",
		"security.limit_extensions .php .phar":     `security.limit_extensions is an option of php-fpm: write split .php .phar`,
		"php_admin_value[memory_limit] 1G":         "php_admin_value[memory_limit] is an option of php-fpm: write admin_ini memory_limit 1G",
		"php_admin_value[memory_limit] = 1G":       "php_admin_value[memory_limit] is an option of php-fpm: write admin_ini memory_limit 1G",
		"php_admin_value memory_limit 1G":          "php_admin_value is an option of php-fpm: write admin_ini memory_limit 1G",
		"php_admin_value[error_log] /log/$pool":    "php_admin_value[error_log] is an option of php-fpm: write admin_ini error_log /log/$pool, with the name of the pool instead of $pool",
		"php_admin_flag[log_errors] on":            "php_admin_flag[log_errors] is an option of php-fpm: write admin_ini log_errors on",
		"php_flag[display_errors] off":             "php_flag[display_errors] is an option of php-fpm: write ini display_errors off",
		"php_value[include_path] \"/a /b\"":        `php_value[include_path] is an option of php-fpm: write ini include_path "/a /b"`,
		"php_value":                                "php_value is an option of php-fpm: write ini <name> <value>",
		"env[HOSTNAME] $HOSTNAME":                  "env[HOSTNAME] is an option of php-fpm: write process_env HOSTNAME {env.HOSTNAME}",
		"env[TMP] = /tmp":                          "env[TMP] is an option of php-fpm: write process_env TMP /tmp",
		"error_log /var/log/x":                     "error_log is an option of php-fpm: write ini error_log /var/log/x for PHP's own log; php-fpm's messages are in Caddy's log",
		"request_terminate_timeout_track_finished": "request_terminate_timeout_track_finished is an option of php-fpm: remove it, because request_timeout ends with the script",
		"pm.max_childern 5":                        `unrecognized php_pool option "pm.max_childern": php-fpm's pm.max_children? Then write max_workers 5, or for pm static workers 5`,
		// php.ini
		"memory_limit 256M":         "memory_limit is a setting of PHP: write ini memory_limit 256M",
		"memory_limit = 256M":       "memory_limit is a setting of PHP: write ini memory_limit 256M",
		"opcache.enable 0":          "opcache.enable may be a setting of PHP: write ini opcache.enable 0",
		"user_agent \"a b\"":        `user_agent is a setting of PHP: write ini user_agent "a b"`,
		"extension imagick":         "extension is a setting of PHP: write ini extension imagick",
		"memory_limt 256M":          `unrecognized php_pool option "memory_limt": did you mean ini memory_limit?`,
		"upload_max_file_size 256M": `unrecognized php_pool option "upload_max_file_size": did you mean ini upload_max_filesize?`,
		// FrankenPHP
		"num_threads 8":    "num_threads is an option of FrankenPHP: write workers 8",
		"max_threads auto": "max_threads is an option of FrankenPHP: write max_workers auto",
		"worker 3":         "worker 3 has no file: write worker <file> 3 to keep an application in memory, or workers 3 for the number of workers",
		"php_ini a 1":      "php_ini is an option of FrankenPHP: write ini a 1",
		"split_path .php":  "split_path is an option of FrankenPHP: write split .php",
		// mistakes
		"wrokers 3":       `unrecognized php_pool option "wrokers": did you mean workers?`,
		"max_worker 3":    `unrecognized php_pool option "max_worker": did you mean max_workers?`,
		"user-ini x":      `unrecognized php_pool option "user-ini": remove it; docs/configuration.md lists all options`,
		"rlimitnofile 10": `unrecognized php_pool option "rlimitnofile": did you mean rlimit_nofile?`,
		"lb_policy first": "php_pool does not support lb_policy: the pool selects the worker, and retries a request where that is safe; remove it",
	} {
		for _, where := range []place{inSite, inGlobal} {
			if got := adaptError(t, where, line); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", line, got, want)
			}
		}
	}
}

func TestUnrecognized_OptionOfAnotherPlace(t *testing.T) {
	for _, name := range []string{"root", "env", "split", "try_files", "handle_response", "name", "max_body"} {
		want := name + " is an option of a site: write it in the block of the directive php_pool"
		if got := adaptError(t, inGlobal, name+" x"); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if got := adaptError(t, inSite, "roots /srv"); !strings.HasSuffix(got, "did you mean root?") {
		t.Errorf("got %s", got)
	}
	transport := adapt(t, "example.com {\nreverse_proxy php:9000 {\ntransport php_pool {\nworkers 3\n}\n}\n}\n")
	if !strings.Contains(transport, "workers is an option of a pool: write it in the global option php_pool") {
		t.Errorf("got %s", transport)
	}
	transport = adapt(t, "example.com {\nreverse_proxy php:9000 {\ntransport php_pool {\ntry_files x\n}\n}\n}\n")
	if !strings.Contains(transport, "try_files is an option of the directive php_pool, which transport php_pool does not have: remove it") {
		t.Errorf("got %s", transport)
	}
	// An option of a site is no advice for the global options.
	if got := adaptError(t, inGlobal, "roots /srv"); strings.Contains(got, "root?") {
		t.Errorf("got %s", got)
	}
}

// Every directive of the PHP of this machine is recognized without `ini`.
func TestUnrecognized_DirectivesOfThisPHP(t *testing.T) {
	needPHP(t)
	path, err := phpbin.Find("")
	if err != nil {
		t.Fatal(err)
	}
	info, err := phpbin.ReadPHPInfo(t.Context(), path, phpbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Directives) < 100 {
		t.Fatalf("got %d directives", len(info.Directives))
	}
	for _, name := range info.Directives {
		want := name + " is a setting of PHP: write ini " + name + " 1"
		switch {
		case name == "error_log":
			want = "error_log is an option of php-fpm: write ini error_log 1 for"
		case strings.Contains(name, "."):
			want = name + " may be a setting of PHP: write ini " + name + " 1"
		}
		if got := adaptError(t, inSite, name+" 1"); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
