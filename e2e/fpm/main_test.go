//go:build linux

package fpm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// instance is a php-fpm, or `caddy php-pool fpm` in its place, in a directory that has
// php-fpm.conf, fpm.sock, fpm.log and fpm.pid.
type instance struct {
	t    *testing.T
	args []string // the program, before the arguments of php-fpm
	dir  string
	ini  string // for -c

	scanDir string // of additional ini files

	own bool // caddy php-pool fpm
	*harness.Supervised
}

// newInstance returns an instance that does not run yet. Its configuration has one pool,
// www, with these lines.
func newInstance(t *testing.T, own bool, lines string) *instance {
	t.Helper()
	dir := harness.TempDir(t)
	c := harness.FPMCommand(t, dir, harness.Options{Workers: 2})
	i := &instance{t: t, own: own, args: c.Args[:1], dir: dir, ini: c.Args[len(c.Args)-1]}
	i.scanDir = filepath.Join(filepath.Dir(i.ini), "conf.d")
	if own {
		i.args = []string{harness.CaddyBinary, "php-pool", "fpm"}
		uid, _ := harness.CaddyUser(t)
		harness.Chown(t, dir, int(uid), int(uid))
	}
	i.configure(lines)
	return i
}

// configure writes php-fpm.conf.
func (i *instance) configure(lines string) {
	i.t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "user = www-data\ngroup = www-data\n"
	}
	harness.WriteFile(i.t, filepath.Join(i.dir, "php-fpm.conf"), fmt.Sprintf(`[global]
error_log = %[1]s/fpm.log
pid = %[1]s/fpm.pid
[www]
listen = %[1]s/fpm.sock
listen.mode = 0666
%[2]s%[3]s`, i.dir, user, lines))
}

// addINI replaces the php.ini by one that ends with these lines.
func (i *instance) addINI(lines string) {
	i.t.Helper()
	ini := filepath.Join(i.dir, "php.ini")
	harness.WriteFile(i.t, ini, harness.ReadFile(i.t, i.ini)+"\n"+lines+"\n")
	i.scanDir, i.ini = filepath.Join(filepath.Dir(i.ini), "conf.d"), ini
}

// command returns the command with arguments that follow -y.
func (i *instance) command(args ...string) harness.Command {
	args = append([]string{"-y", filepath.Join(i.dir, "php-fpm.conf"), "-c", i.ini}, args...)
	c := harness.Command{
		Args: append(append([]string{}, i.args...), args...),
		Env:  []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir, "FPM_TEST=from the environment", "PHP_INI_SCAN_DIR=" + i.scanDir},
		Dir:  i.dir,
		Log:  filepath.Join(i.dir, "stderr.log"),
	}
	if i.own {
		c = harness.AsCaddy(i.t, c)
	}
	return c
}

// start runs the instance in the foreground until the test ends.
func (i *instance) start() {
	i.t.Helper()
	i.Supervised = harness.Supervise(i.t, i.command("-F"))
	i.waitLog("ready to handle connections", 1)
	i.t.Cleanup(func() { // so that it removes its files
		i.Signal(syscall.SIGTERM)
		i.Wait(harness.MaxWait)
	})
}

// waitLog waits until error_log has a text n times.
func (i *instance) waitLog(text string, n int) {
	i.t.Helper()
	harness.Eventually(i.t, func() error {
		log, _ := os.ReadFile(filepath.Join(i.dir, "fpm.log"))
		if got := strings.Count(string(log), text); got < n {
			stderr, _ := os.ReadFile(filepath.Join(i.dir, "stderr.log"))
			select {
			case <-i.Exited:
				i.t.Fatalf("exited with code %d:\n%s%s", i.ExitCode, log, stderr)
			default:
			}
			return fmt.Errorf("%q is %d times in the log, want %d:\n%s%s", text, got, n, log, stderr)
		}
		return nil
	})
}

// waitExit waits until the instance has exited, and checks that it leaves no process, no
// socket and no PID file.
func (i *instance) waitExit(code int) {
	i.t.Helper()
	got, ok := i.Wait(harness.MaxWait)
	if !ok || got != code {
		i.t.Fatalf("exit code %d, exited: %v, want %d", got, ok, code)
	}
	harness.Eventually(i.t, func() error {
		if left := i.Processes(); len(left) > 0 {
			return fmt.Errorf("processes are left: %v", left)
		}
		return nil
	})
	for _, name := range []string{"fpm.sock", "fpm.pid"} {
		if _, err := os.Lstat(filepath.Join(i.dir, name)); err == nil {
			i.t.Errorf("%s is left", name)
		}
	}
}

// site returns a Caddy whose php_fastcgi sends requests to an instance.
func (i *instance) site(lines ...string) *harness.Server {
	i.t.Helper()
	s := harness.Prepare(i.t, harness.SharedLean, harness.Options{Env: []string{"FPM=" + i.dir}})
	err := s.Run("http://127.0.0.1:{$PORT} {\nroot {$SITE}\nreverse_proxy /fpm-* unix/{$FPM}/fpm.sock {\ntransport fastcgi {\nroot {$SITE}\nsplit -status -ping\n}\n}\nphp_fastcgi unix/{$FPM}/fpm.sock {\n" + strings.Join(lines, "\n") + "\n}\n}\n")
	if err != nil {
		i.t.Fatal(err)
	}
	return s
}

const static2 = "pm = static\npm.max_children = 2\n"
