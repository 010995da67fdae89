package fpmconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checked returns the problems of a php-fpm.conf.
func checked(t *testing.T, text string, s *Serving) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "php-fpm.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadToServe(Disk{}, file, "/usr", func(name string) string { return map[string]string{"YES": "yes"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	return Check(c, s)
}

const validPool = "[www]\nlisten = 9000\npm = static\npm.max_children = 2\n"

func TestCheck(t *testing.T) {
	tests := []struct {
		text string
		says string // "" if it is valid
	}{
		{validPool, ""},
		{"[global]\npid = x\nlog_level = Notice\ndaemonize = \"yes\"\n" + validPool + "clear_env = ${YES}\nphp_flag[engine] = ${YES}\n", ""},
		{"[global]\n", "no pool"},
		{"[global]\nunknown = 1\n" + validPool, ":2] unknown = 1: php-fpm has no such directive"},
		{"[global]\nlisten = 1\n" + validPool, "no such directive"},
		{validPool + "daemonize = yes\n", "no such directive"},
		{validPool + "pm.max_requests = many\n", "whole number"},
		{validPool + "request_terminate_timeout = 5w\n", "not a time"},
		{validPool + "clear_env = maybe\n", "neither yes nor no"},
		{validPool + "pm = some\n", "static, dynamic, ondemand"},
		{validPool + "env[A] =\n", "empty"},
		{validPool + "php_value[] = 1\n", "needs a key"},
		{validPool + "access.suppress_path[a] = /x\n", "takes no key"},
		{validPool + "access.suppress_path[] = x\n", "begins with /"},
		{"[global]\nenv[A] = b\n" + validPool, "in pools only"},
		{"[global]\nlog_limit = 64\n" + validPool, "log_limit"},
		{"[global]\nprocess.max = -1\n" + validPool, "process.max"},
		{"[global]\nprocess.priority = 30\n" + validPool, "process.priority"},
		{"[www]\npm = static\npm.max_children = 2\n", "no listen address"},
		{"[www]\nlisten = 9000\npm.max_children = 2\n", "pm is missing"},
		{"[www]\nlisten = 9000\npm = static\n", "pm.max_children"},
		{"[www]\nlisten = 9000\npm = dynamic\npm.max_children = 2\n", "pm.min_spare_servers(0)"},
		{"[www]\nlisten = 9000\npm = dynamic\npm.max_children = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n", "cannot be greater"},
		{"[www]\nlisten = 9000\npm = dynamic\npm.max_children = 5\npm.min_spare_servers = 2\npm.max_spare_servers = 3\npm.start_servers = 1\n", "pm.start_servers(1)"},
		{"[www]\nlisten = 9000\npm = ondemand\npm.max_children = 5\npm.process_idle_timeout = 0\n", "pm.process_idle_timeout"},
		{validPool + "pm.status_path = status\n", "must begin with /"},
		{validPool + "ping.path = /\n", "too short"},
		{validPool + "ping.path = /p?\n", "letters, digits"},
		{validPool + "ping.path = /ping\nping.response =\n", "ping.response is empty"},
		{validPool + "request_slowlog_timeout = 5\n", "slowlog must be specified"},
		{validPool + "slowlog = /x\nrequest_slowlog_timeout = 2m\nrequest_terminate_timeout = 60\n", "(120) cannot be greater than request_terminate_timeout (60)"},
		{validPool + "user = no-such-user\n", "cannot get uid for user 'no-such-user'"},
		{validPool + "listen.group = no-such-group\n", "cannot get gid for group 'no-such-group': listen.group"},
		{validPool + "chdir = /no/such/directory\n", "does not exist or is not a directory"},
		{validPool + "[b]\nlisten = 9000\npm = static\npm.max_children = 1\n", "also an address of the pool www"},
	}
	for _, tt := range tests {
		got := strings.Join(checked(t, tt.text, &Serving{}), "\n")
		if tt.says == "" && got != "" || !strings.Contains(got, tt.says) {
			t.Errorf("%s\ngot %q, want %q", tt.text, got, tt.says)
		}
	}
}

func TestCheck_Root(t *testing.T) {
	for text, says := range map[string]string{
		validPool:                   "user is not defined",
		validPool + "user = root\n": "must not be root",
		validPool + "user = 0\n":    "must not be root",
	} {
		if got := checked(t, text, &Serving{Root: true}); !strings.Contains(strings.Join(got, "\n"), says) {
			t.Errorf("%s\ngot %q, want %q", text, got, says)
		}
		if got := checked(t, text, &Serving{Root: true, RunAsRoot: true}); len(got) > 0 {
			t.Errorf("%s\ngot %q with -R", text, got)
		}
	}
}

func TestServe_Listeners(t *testing.T) {
	tests := []struct {
		lines string
		want  string
	}{
		{"listen = /run/a.sock\n", "fastcgi unix//run/a.sock {\n\t\t\tpool www\n\t\t\textensions .php .phar\n\t\t}"},
		{"listen = a.sock\nlisten.mode = 0666\n", "fastcgi unix//usr/a.sock|0666 {"},
		{"listen = a.sock\nprefix = /tmp\n", "fastcgi unix//tmp/a.sock {"},
		{"listen = 9000\n", "fastcgi :9000 {\n\t\t\tpool www\n\t\t\tallow 0.0.0.0/0 ::/0\n"},
		{"listen = ::1:9000\n", "fastcgi [::1]:9000 {"},
		{"listen = [::]:9000\n", "fastcgi [::]:9000 {"},
		{"listen = 127.0.0.1:9000\nlisten.allowed_clients = 127.0.0.1, 10.0.0.1,wrong\n", "allow 127.0.0.1 10.0.0.1\n"},
		{"listen = 9000\nlisten.allowed_clients = wrong\n", "allow 255.255.255.255\n"},
		{"listen = /a\nlisten.owner = www-data\nlisten.group = adm\n", "owner www-data:adm\n"},
		{"listen = /a\nlisten.group = adm\n", "owner :adm\n"},
		{"listen = /a\nsecurity.limit_extensions = .php .html\n", "extensions .php .html\n"},
		{"listen = /a\nsecurity.limit_extensions =\n", "extensions *\n"},
		{"listen = /a\nping.path = /ping\nping.response = \"it works\"\n", "ping /ping \"it works\"\n"},
		{"listen = /a\npm.status_path = /status\n", "status /status\n"},
		{"listen = /a\npm.status_listen = /b\n", "fastcgi unix//b {\n\t\t\tpool www\n\t\t\textensions .php .phar\n\t\t\tstatus /\n"},
		{"listen = /a\n", "slow_request off\n"},
		{"listen = /a\nslowlog = /tmp/s\nrequest_slowlog_timeout = 2\n", "slow_request 2s\n"},
		{"listen = /a\nuser = nobody\n", "user = nobody: left out"},
	}
	for _, tt := range tests {
		file := filepath.Join(t.TempDir(), "php-fpm.conf")
		if err := os.WriteFile(file, []byte("[www]\n"+tt.lines+"pm = static\npm.max_children = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := ReadToServe(Disk{}, file, "/usr", os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		result := Serve(c, &Serving{})
		if len(result.Lost) > 0 || !strings.Contains(result.Caddyfile, tt.want) || strings.Contains(result.Caddyfile, "\tuser ") {
			t.Errorf("%s\ngot %q and\n%s", tt.lines, result.Lost, result.Caddyfile)
		}
	}
}

func TestServe_Refused(t *testing.T) {
	for _, line := range []string{"chroot = /srv", "apparmor_hat = php"} {
		file := filepath.Join(t.TempDir(), "php-fpm.conf")
		if err := os.WriteFile(file, []byte(validPool+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := ReadToServe(Disk{}, file, "/usr", os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if result := Serve(c, &Serving{Root: true}); len(result.Lost) != 1 || !strings.Contains(result.Lost[0], ":5: "+line) {
			t.Errorf("%s: got %q", line, result.Lost)
		}
	}
}
