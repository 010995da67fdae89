//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// served is a running `caddy php-pool serve`.
type served struct {
	*harness.Supervised
	t         *testing.T
	temporary string
	url, log  string
}

// serve runs a command in a directory, and waits until it says where it serves.
func serve(t *testing.T, dir string, uid uint32, args ...string) *served {
	t.Helper()
	return serveWith(t, dir, uid, []string{"PATH=" + os.Getenv("PATH")}, args...)
}

// serveWith does that with more environment.
func serveWith(t *testing.T, dir string, uid uint32, env []string, args ...string) *served {
	t.Helper()
	temporary := harness.TempDir(t)
	if uid != 0 {
		harness.Chown(t, temporary, int(uid), int(uid))
	}
	s := &served{t: t, temporary: temporary, log: filepath.Join(harness.TempDir(t), "log")}
	s.Supervised = harness.Supervise(t, harness.Command{
		Args: append([]string{harness.CaddyBinary}, args...), Dir: dir, Log: s.log, UID: uid,
		Env: append(env, "TMPDIR="+temporary, "HOME="+temporary),
	})
	harness.Eventually(t, func() error {
		text := harness.ReadFile(t, s.log)
		if m := regexp.MustCompile(`(?m)^Serving (\S+) at (\S+)$`).FindStringSubmatch(text); m != nil {
			s.url = m[2]
			return nil
		}
		if code, exited := s.Wait(0); exited {
			t.Fatalf("exit code %d:\n%s", code, text)
		}
		return fmt.Errorf("it does not serve:\n%s", text)
	})
	return s
}

func (s *served) get(path string) *harness.Response {
	s.t.Helper()
	return harness.Do(s.t, harness.NewClient(s.t), harness.NewRequest(s.t, http.MethodGet, s.url+path, nil))
}

// interrupt presses Ctrl-C. No process and no file may be left.
func (s *served) interrupt() {
	s.t.Helper()
	s.Signal(syscall.SIGINT)
	if code, exited := s.Wait(harness.MaxWait); !exited || code != 0 {
		s.t.Errorf("Ctrl-C: exited %v with code %d:\n%s", exited, code, harness.ReadFile(s.t, s.log))
	}
	harness.Eventually(s.t, func() error {
		if left := s.Processes(); len(left) > 0 {
			return fmt.Errorf("processes are left: %v", left)
		}
		return nil
	})
	if left, _ := filepath.Glob(s.temporary + "/php[_-]*"); len(left) > 0 {
		s.t.Errorf("files are left: %q", left)
	}
}

// TestServe_Directory serves an application with a public directory, as root and as
// somebody else, twice at the same time. It shows errors, and runs a changed file.
func TestServe_Directory(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	for _, uid := range []uint32{0, nobody} {
		if uid != 0 && os.Getuid() != 0 {
			continue // the tests themselves are not root
		}
		t.Run(fmt.Sprint("uid ", uid), func(t *testing.T) {
			t.Parallel()
			dir := harness.TempDir(t)
			harness.WriteFile(t, filepath.Join(dir, "artisan"), "")
			if err := os.Mkdir(filepath.Join(dir, "public"), 0o755); err != nil {
				t.Fatal(err)
			}
			index := filepath.Join(dir, "public", "index.php")
			harness.WriteFile(t, index, "<?php echo 'uri ', $_SERVER['REQUEST_URI'], $undefined;")
			first, second := serve(t, dir, uid, "php-pool", "serve"), serve(t, "/", uid, "php-server", dir)
			if first.url == second.url || !strings.HasPrefix(first.url, "http://localhost:") {
				t.Errorf("the addresses are %s and %s", first.url, second.url)
			}
			page := harness.NewRequest(t, http.MethodGet, first.url+"/some/page", nil)
			page.Header.Set("Accept", "text/html")
			harness.Do(t, harness.NewClient(t), page).WantContains(t, 200, "uri /some/page", "<script", "Undefined variable $undefined in "+index)
			first.get("/some/page").Want(t, 200, "uri /some/page")
			second.get("/").WantContains(t, 200, "uri /")
			harness.ReplaceFile(t, index, "<?php echo 'changed';", 0o644)
			harness.Eventually(t, func() error { // the same second: OPcache looks at the time of the file
				if got := first.get("/"); got.Text != "changed" {
					return fmt.Errorf("got %q", got.Text)
				}
				return nil
			})

			// The output names the command that shows the workers.
			m := regexp.MustCompile(`caddy (php-pool top(?: --address \S+)?)\n`).FindStringSubmatch(harness.ReadFile(t, first.log))
			if m == nil {
				t.Fatalf("no command in:\n%s", harness.ReadFile(t, first.log))
			}
			out, err := exec.CommandContext(t.Context(), harness.CaddyBinary, append(strings.Fields(m[1]), "--once")...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "public") {
				t.Errorf("%s: %v\n%s", m[1], err, out)
			}
			first.interrupt()
			second.interrupt()
		})
	}
}

// TestServe_FrankenPHPFlags runs the commands of FrankenPHP's documentation, with the
// name of this program.
func TestServe_FrankenPHPFlags(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "public"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(dir, "public", "index.php"), `<?php
$started = getmypid();
while (frankenphp_handle_request(static function () use ($started) { echo "worker of ", $started === getmypid() ? "this" : "another"; })) {
}
`)
	port := freePort(t)
	s := serve(t, dir, 0, "php-server", "--root", "public/", "--worker", "./public/index.php,2", "--watch", "-a", "-v", "--no-compress", "--listen", "127.0.0.1:"+port)
	if want := "http://localhost:" + port; s.url != want {
		t.Errorf("got the address %s, want %s", s.url, want)
	}
	for range 3 {
		s.get("/").Want(t, 200, "worker of this")
	}
	harness.Eventually(t, func() error {
		if !strings.Contains(harness.ReadFile(t, s.log), `"logger":"http.log.access`) {
			return fmt.Errorf("no access log:\n%s", harness.ReadFile(t, s.log))
		}
		return nil
	})
	s.interrupt()
}

// TestServe_OpenAndEnvfile has a browser that finds the page ready, and then none. PHP gets the
// variables of a file, but none of those that Caddy has already, and no HOME.
func TestServe_OpenAndEnvfile(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	harness.ChownToPHP(t, dir) // the script creates a file
	harness.WriteFile(t, filepath.Join(dir, "index.php"),
		`<?php touch('served'); echo getenv('APP_ENV'), ' ', getenv('GREETING'), ' ', getenv('HOME') === '/nowhere' ? 'HOME' : '', getenv('TZ');`)
	envfile := filepath.Join(dir, ".env")
	harness.WriteFile(t, envfile, "# of the application\nexport APP_ENV=dev\nGREETING='hello world'\nHOME=/nowhere\nTZ=nowhere\n")
	bin := filepath.Join(dir, "bin")
	harness.ReplaceFile(t, filepath.Join(bin, "xdg-open"), "#!/bin/sh\ntest -e "+dir+"/served && echo \"$1\" >"+dir+"/opened.tmp && mv "+dir+"/opened.tmp "+dir+"/opened\n", 0o755)
	s := serveWith(t, dir, 0, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TZ=UTC"}, "php-pool", "serve", "--open", "--envfile", envfile)
	harness.Eventually(t, func() error {
		got, err := os.ReadFile(filepath.Join(dir, "opened"))
		if err != nil {
			return fmt.Errorf("%w:\n%s", err, harness.ReadFile(t, s.log))
		}
		if string(got) != s.url+"\n" {
			return fmt.Errorf("got %q, want %s:\n%s", got, s.url, harness.ReadFile(t, s.log))
		}
		return nil
	})
	s.get("/").Want(t, 200, "dev hello world UTC")
	s.interrupt()

	php, err := exec.LookPath("php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	s = serveWith(t, dir, 0, []string{"PATH=" + filepath.Join(dir, "missing")}, "php-pool", "serve", "--open", "--php", php)
	harness.Eventually(t, func() error {
		want := "--open: xdg-open is missing, which the package xdg-utils has: open " + s.url + " in a browser\n"
		if log := harness.ReadFile(t, s.log); !strings.Contains(log, want) {
			return fmt.Errorf("the output lacks %s:\n%s", want, log)
		}
		return nil
	})
	s.get("/").Want(t, 200, "  ")
	s.interrupt()
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// TestServe_Refused has a port that is in use and no php-cgi: both are errors that say
// what to do, and nothing is left.
func TestServe_Refused(t *testing.T) {
	t.Parallel()
	dir, temporary := harness.TempDir(t), harness.TempDir(t)
	harness.WriteFile(t, filepath.Join(dir, "index.php"), "hello")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen", ln.Addr().String()}, "address already in use"},
		{[]string{"--php", "5.5"}, "not found: searched for php-cgi5.5"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), harness.MaxWait)
		cmd := exec.CommandContext(ctx, harness.CaddyBinary, slices.Concat([]string{"php-pool", "serve"}, tt.args)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+temporary, "HOME="+temporary)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%v: %v\n%s\nwant %s", tt.args, err, out, tt.want)
		}
	}
	if left, _ := filepath.Glob(temporary + "/php[_-]*"); len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
}
