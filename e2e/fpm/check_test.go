//go:build linux

package fpm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMCheck compares -t with php-fpm: the exit code, and what scripts look for in the
// output.
func TestFPMCheck(t *testing.T) {
	t.Parallel()
	pool := static2
	tests := map[string]string{
		"valid":              pool,
		"all managers":       "pm = dynamic\npm.max_children = 5\npm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n[b]\nlisten = 127.0.0.1:9876\nuser = www-data\npm = ondemand\npm.max_children = 1\npm.process_idle_timeout = 1m\n",
		"pages":              pool + "pm.status_path = /status\nping.path = /ping\nping.response = it works\npm.status_listen = 127.0.0.1:9877\n",
		"address":            "listen.owner = www-data\nlisten.allowed_clients = 127.0.0.1,::1\n" + pool + "security.limit_extensions = .php .html\n",
		"unknown directive":  pool + "max_children = 5\n",
		"global in a pool":   pool + "daemonize = no\n",
		"no manager":         "pm.max_children = 2\n",
		"no workers":         "pm = static\n",
		"bad number":         pool + "pm.max_requests = 5 or more\n",
		"bad time":           pool + "request_terminate_timeout = 1week\n",
		"bad switch":         pool + "clear_env = perhaps\n",
		"spare servers":      "pm = dynamic\npm.max_children = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n",
		"unknown user":       pool + "user = no-such-user\n",
		"unknown owner":      pool + "listen.owner = no-such-user\n",
		"unknown group":      pool + "group = no-such-group\n",
		"status path":        pool + "pm.status_path = status\n",
		"ping path":          pool + "ping.path = /\n",
		"slow without a log": pool + "request_slowlog_timeout = 2s\n",
		"no directory":       pool + "chdir = /no/such/directory\n",
		"no value":           pool + "user\n",
		"section":            pool + "[www\n",
		"empty key":          pool + "php_value[] = 1\n",
		"suppress path":      pool + "access.suppress_path[] = ping\n",
		"same address":       pool + "[b]\nlisten = $pool/../fpm.sock\nuser = www-data\nlisten = ${FPM_SOCK}\n" + pool,
		"access format":      pool + "access.log = /dev/null\naccess.format = \"%R %y\"\n",
		"access unit":        pool + "access.log = /dev/null\naccess.format = \"%{hours}d\"\n",
		"access log":         pool + "access.log = /dev/null\naccess.format = \"%R - %u %t %{%s}T \\\"%m %r%Q%q\\\" %s %f %{milli}d %{kilo}M %C%% %{REMOTE_ADDR}e %{X-Powered-By}o %p %P %n %l\"\naccess.suppress_path[] = /ping\n",
		"no error log":       pool + "[global]\nerror_log = /no/such/directory/fpm.log\n",
		"included":           pool + "include = no-such-directory/*.conf\n",
		"environment":        pool + "clear_env = ${FPM_NO}\nphp_value[memory_limit] = \"64M\"\n",
	}
	reference := newInstance(t, false, "")
	own := newInstance(t, true, "")
	for name, lines := range tests {
		check := func(i *instance) (int, string) {
			i.configure(lines)
			c := i.command("-t")
			cmd := exec.Command(c.Args[0], c.Args[1:]...)
			cmd.Dir, cmd.Env = c.Dir, append(slices.Clone(c.Env), "FPM_SOCK="+filepath.Join(i.dir, "fpm.sock"), "FPM_NO=no")
			out, err := cmd.CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				t.Fatal(err)
			}
			return cmd.ProcessState.ExitCode(), string(out)
		}
		want, wantOut := check(reference)
		got, gotOut := check(own)
		if got != want {
			t.Errorf("%s: exit code %d of\n%s\nbut php-fpm %d:\n%s", name, got, gotOut, want, wantOut)
		}
		const successful = "php-fpm.conf test is successful"
		if strings.Contains(gotOut, successful) != (want == 0) {
			t.Errorf("%s: exit code %d of\n%s", name, got, gotOut)
		}
	}
}

// TestFPMCheck_Root reports at -t what php-fpm reports when it starts.
func TestFPMCheck_Root(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("php-fpm ignores user when it does not run as root")
	}
	for _, own := range []bool{false, true} {
		i := newInstance(t, own, static2+"user = root\n")
		i.Supervised = harness.Supervise(t, i.command("-F"))
		i.waitExit(78)
		if own {
			c := i.command("-t")
			cmd := exec.Command(c.Args[0], c.Args[1:]...)
			cmd.Env = c.Env
			if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "-R") {
				t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
			}
		}
	}
}

// TestFPMCheck_Refused checks that lines that protect and that cannot be had keep it
// from starting.
func TestFPMCheck_Refused(t *testing.T) {
	t.Parallel()
	i := newInstance(t, true, static2+"chroot = "+harness.TempDir(t)+"\n")
	for _, arg := range []string{"-t", "-F", "-D"} {
		c := i.command(arg)
		cmd := exec.Command(c.Args[0], c.Args[1:]...)
		cmd.Env = c.Env
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "php-fpm.conf:11: chroot = ") || !strings.Contains(string(out), "isolate") {
			t.Errorf("%s: exit code %d: %s", arg, cmd.ProcessState.ExitCode(), out)
		}
	}
}
