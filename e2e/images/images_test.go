//go:build linux

package images

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

const base = "http://127.0.0.1:8080"

// start starts the image with an application that has these files.
func start(t *testing.T, i *image, files map[string]string, env ...string) *container {
	t.Helper()
	i.app = harness.TempDir(t)
	for name, content := range files {
		harness.WriteFile(t, filepath.Join(i.app, name), content)
	}
	harness.Chown(t, i.app, 1000, 1000)
	return i.start(t, env...)
}

func TestImage_Config(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		config := i.config
		if config.User != "1000:1000" || config.StopSignal != "SIGTERM" || config.WorkingDir != "/app" {
			t.Errorf("got user %s, stop signal %s, working directory %s", config.User, config.StopSignal, config.WorkingDir)
		}
		for _, port := range []string{"8080/tcp", "80/tcp", "443/tcp", "443/udp"} {
			if _, ok := config.ExposedPorts[port]; !ok {
				t.Errorf("does not expose %s", port)
			}
		}
		if n := len(i.config.Cmd); n == 0 || i.config.Cmd[0] != "caddy" {
			t.Errorf("got command %q", i.config.Cmd)
		}
		// What would be left of the build, or is a risk.
		for _, path := range []string{"/var/lib/apt/lists/*", "/tmp/*", "/var/cache/apt/archives/*.deb"} {
			if left, _ := filepath.Glob(filepath.Join(i.rootfs, path)); len(left) > 0 {
				t.Errorf("the image has %d files %s", len(left), path)
			}
		}
		if info, err := os.Stat(filepath.Join(i.rootfs, "etc/caddy/Caddyfile")); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("the Caddyfile has to belong to root, or PHP could change it: %v", err)
		}
		if info, err := os.Stat(filepath.Join(i.rootfs, "app")); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("/app has to belong to root, or PHP could replace /app/public: %v", err)
		}
	})
}

// TestImage_Welcome runs an image as it is.
func TestImage_Welcome(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := i.start(t)
		c.waitServing(base)
		c.get(base).WantContains(t, http.StatusOK, "<h1>Caddy runs PHP 8")
		harness.Eventually(t, func() error {
			if out, code := c.healthcheck(); code != 0 {
				return fmt.Errorf("the health check ended with code %d: %s", code, out)
			}
			return nil
		})
		for command, want := range map[string]string{"status": "default", "top --once": "default", "backtrace": "no worker is running a script", "opcache": "default"} {
			if out, code := c.exec(append([]string{"caddy", "php-pool"}, strings.Fields(command)...)...); code != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: got code %d: %s", command, code, out)
			}
		}
		if out, code := c.exec("caddy", "php-pool", "doctor", "--config", "/etc/caddy/Caddyfile"); code != 0 {
			t.Errorf("doctor: got code %d: %s", code, out)
		}
		if out, code := c.exec("caddy", "reload", "--config", "/etc/caddy/Caddyfile", "--force"); code != 0 {
			t.Errorf("reload: got code %d: %s", code, out)
		}
		if !strings.Contains(c.logged(), `"msg":"serving initial configuration"`) {
			t.Errorf("the log of the container is not Caddy's: %s", c.logged())
		}
		c.stop()
		c.wantEnded()
	})
}

// TestImage_PHP checks who PHP is, and what it sees and has.
func TestImage_PHP(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": `<?php
			session_start();
			error_log('a message of PHP');
			$port = @fsockopen('127.0.0.1', 2019, $code, $text, 5);
			echo json_encode([
				'uid' => posix_geteuid(), 'gid' => posix_getegid(), 'one' => trim(file_get_contents('/proc/1/comm')),
				'env' => getenv('GREETING'), 'server' => $_SERVER['GREETING'] ?? '', 'root' => $_SERVER['DOCUMENT_ROOT'], 'caddy' => getenv('CADDY_SECRET'),
				'home' => getenv('HOME'), 'errors' => ini_get('display_errors'), 'admin' => $port ? 'open' : $text,
				'extensions' => array_values(array_filter(['Zend OPcache', 'PDO', 'pdo_mysql', 'session'], 'extension_loaded')),
				'saved' => session_write_close() && is_file(session_save_path().'/sess_'.session_id()) || is_file('/tmp/sess_'.session_id()),
				'temp' => (bool) file_put_contents(sys_get_temp_dir().'/x', 'x'), 'writable' => @file_put_contents('/etc/x', 'x'),
			]);`}, "GREETING=hello from the container", "CADDY_SECRET=x")
		c.waitServing(base)
		var php struct {
			UID, GID                              int
			One, Env, Server, Root, Errors, Admin string
			Caddy, Writable, Home                 any
			Extensions                            []string
			Saved, Temp                           bool
		}
		c.json(base, &php)
		if php.UID != 1000 || php.GID != 1000 || php.One != "caddy" {
			t.Errorf("got uid %d, gid %d, process 1 %s, want 1000, 1000 and caddy", php.UID, php.GID, php.One)
		}
		if php.Env != "hello from the container" || php.Server != php.Env || php.Caddy != false {
			t.Errorf("got variables %q, %q and %v, want those of the container but not Caddy's", php.Env, php.Server, php.Caddy)
		}
		if php.Root != "/app/public" || php.Errors == "1" || php.Writable != false || !php.Temp || !php.Saved {
			t.Errorf("got %+v", php)
		}
		if want := []string{"Zend OPcache", "PDO", "pdo_mysql", "session"}; !slices.Equal(php.Extensions, want) {
			t.Errorf("got extensions %q, want %q", php.Extensions, want)
		}
		if php.Admin == "open" {
			t.Error("PHP can connect to the admin endpoint: the image's PHP is Caddy's own user, and has to be confined")
		}
		harness.Eventually(t, func() error {
			if !strings.Contains(c.logged(), "a message of PHP") {
				return errors.New("what PHP logs is not in the log of the container")
			}
			return nil
		})
	})
}

// TestImage_Variables configures an image by the variables alone.
func TestImage_Variables(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{
			"web/index.php": `<?php echo json_encode([ini_get('memory_limit'), ini_get('user_agent'), extension_loaded('Zend OPcache')]);`,
			"conf.d/a.ini":  "memory_limit=77M\n",
		},
			"SERVER_NAME=:9090", "SERVER_ROOT=web/", "CADDY_GLOBAL_OPTIONS=log {\n\tlevel DEBUG\n}", "CADDY_EXTRA_CONFIG=:9091 {\n\trespond extra\n}",
			"CADDY_SERVER_EXTRA_DIRECTIVES=header X-Extra yes", "PHP_POOL_CONFIG=ini user_agent container", "PHP_INI_SCAN_DIR=:/app/conf.d")
		c.waitServing("http://127.0.0.1:9090")
		res := c.get("http://127.0.0.1:9090")
		res.Want(t, http.StatusOK, `["77M","container",true]`)
		if got := res.Header.Get("X-Extra"); got != "yes" {
			t.Errorf("CADDY_SERVER_EXTRA_DIRECTIVES: got %q", got)
		}
		c.get("http://127.0.0.1:9091").Want(t, http.StatusOK, "extra")
		if !strings.Contains(c.logged(), `"level":"debug"`) {
			t.Error("CADDY_GLOBAL_OPTIONS: got no debug messages")
		}
		if out, code := c.healthcheck(); code != 0 {
			t.Errorf("the health check ended with code %d: %s", code, out)
		}
	})
}

func TestImage_WorkerMode(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": `<?php
			$count = 0;
			while (frankenphp_handle_request(function () use (&$count) { echo getenv('GREETING'), ' ', ++$count; }));`},
			"PHP_POOL_CONFIG=worker index.php 1", "GREETING=request")
		c.waitServing(base)
		c.get(base).Want(t, http.StatusOK, "request 2")
		c.get(base).Want(t, http.StatusOK, "request 3")
	})
}

// TestImage_Healthcheck breaks PHP, and mends it.
func TestImage_Healthcheck(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": "<?php echo getmypid();"})
		c.waitServing(base)
		want := func(want int, text string) {
			t.Helper()
			harness.Eventually(t, func() error {
				if out, code := c.healthcheck(); code != want || !strings.Contains(out, text) {
					return fmt.Errorf("the health check ended with code %d, want %d and %q: %s", code, want, text, out)
				}
				return nil
			})
		}
		want(0, "ready")
		if out, code := c.exec("caddy", "php-pool", "drain", "--all"); code != 0 {
			t.Fatalf("drain: %s", out)
		}
		want(1, "draining")
		if out, code := c.exec("caddy", "php-pool", "drain", "--all", "--undo"); code != 0 {
			t.Fatalf("drain --undo: %s", out)
		}
		want(0, "ready")

		php, code := c.exec("sh", "-c", `readlink -f "$(command -v php-cgi)"`)
		if php = strings.TrimSpace(php); code != 0 {
			t.Fatalf("no php-cgi: %s", php)
		}
		root := fmt.Sprintf("/proc/%d/root", c.pid)
		if out, code := c.nsenter("mount", "--bind", root+"/bin/false", root+php); code != 0 {
			t.Fatalf("mount: %s", out)
		}
		for _, p := range harness.Descendants(c.pid) {
			if strings.Contains(p.Args, "php-cgi") {
				harness.Kill(t, p.PID, syscall.SIGKILL)
			}
		}
		want(1, "is not ready")
		// Lazily, because the pool may be starting it.
		if out, code := c.nsenter("umount", "--lazy", root+php); code != 0 {
			t.Fatalf("umount: %s", out)
		}
		want(0, "ready")
	})
}

// TestImage_StopLosesNoRequest stops a container that is responding.
func TestImage_StopLosesNoRequest(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": "<?php", "public/wait.php": `<?php
			touch(__DIR__.'/running');
			while (!file_exists(__DIR__.'/release')) { usleep(10_000); clearstatcache(); }
			echo 'complete';`})
		c.waitServing(base)
		type response struct {
			status int
			text   string
			err    error
		}
		done := make(chan response, 1)
		client := c.client()
		go func() {
			res, err := client.Get(base + "/wait.php")
			if err != nil {
				done <- response{err: err}
				return
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			done <- response{res.StatusCode, string(text), err}
		}()
		harness.Eventually(t, func() error {
			_, err := os.Stat(filepath.Join(i.app, "public/running"))
			return err
		})
		c.stop()
		harness.Eventually(t, func() error {
			if !strings.Contains(c.logged(), "shutting down apps, then terminating") {
				return errors.New("Caddy does not stop")
			}
			return nil
		})
		harness.WriteFile(t, filepath.Join(i.app, "public/release"), "")
		if r := <-done; r.err != nil || r.status != http.StatusOK || r.text != "complete" {
			t.Errorf("got %+v", r)
		}
		c.wantEnded()
	})
}

// TestImage_ReapsOrphans leaves zombies to process 1.
func TestImage_ReapsOrphans(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": `<?php
			exec('(setsid sleep 0.05 &) >/dev/null 2>&1');
			echo 'started';`})
		c.waitServing(base)
		for range 3 {
			c.get(base).Want(t, http.StatusOK, "started")
		}
		harness.Eventually(t, func() error {
			for _, p := range harness.Descendants(c.pid) {
				if strings.Contains(p.Args, "sleep") || harness.State(p.PID) == 'Z' {
					return fmt.Errorf("%v is left in state %c", p, harness.State(p.PID))
				}
			}
			return nil
		})
	})
}

// TestImage_HTTPS names a host, so that Caddy makes a certificate, which PHP cannot read.
func TestImage_HTTPS(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		c := start(t, i, map[string]string{"public/index.php": `<?php
			$found = [];
			foreach (['certificates', 'pki/authorities/local'] as $dir) {
				$dir = "/data/caddy/$dir";
				foreach (is_dir($dir) ? new RecursiveIteratorIterator(new RecursiveDirectoryIterator($dir, FilesystemIterator::SKIP_DOTS)) : [] as $file) {
					$found[basename($file)] = @file_get_contents($file) !== false;
				}
			}
			echo $_SERVER['HTTPS'] ?? 'off', ' ', count(array_filter($found));`}, "SERVER_NAME=localhost")
		c.waitServing("http://127.0.0.1")
		harness.Eventually(t, func() error { // until Caddy has the certificate
			res, err := c.client().Get("https://127.0.0.1")
			if err != nil {
				return err
			}
			return res.Body.Close()
		})
		req := harness.NewRequest(t, http.MethodGet, "https://127.0.0.1", nil)
		req.Host = "localhost"
		harness.Do(t, c.client(), req).Want(t, http.StatusOK, "on 0")
		if out, code := c.exec("sh", "-c", "cat /data/caddy/certificates/local/localhost/localhost.key"); code != 0 || !strings.Contains(out, "PRIVATE KEY") {
			t.Errorf("Caddy has not stored the key in /data: %s", out)
		}
	})
}

// TestImage_Kubernetes runs an image with the Caddyfile of examples/kubernetes.
func TestImage_Kubernetes(t *testing.T) {
	forEach(t, func(t *testing.T, i *image) {
		_, rest, _ := strings.Cut(harness.ReadFile(t, "../../examples/kubernetes/shop.yaml"), "\n  Caddyfile: |\n")
		text, _, found := strings.Cut(rest, "---\n")
		if !found {
			t.Fatal("the example has no Caddyfile")
		}
		i.caddyfile = filepath.Join(harness.TempDir(t), "Caddyfile")
		harness.WriteFile(t, i.caddyfile, strings.ReplaceAll("\n"+text, "\n    ", "\n"))
		c := start(t, i, map[string]string{"public/index.php": `<?php echo getenv('DATABASE_URL');`}, "DATABASE_URL=mysql://database")
		c.waitServing(base)
		c.get(base).Want(t, http.StatusOK, "mysql://database")
		const probes = "http://127.0.0.1:2020"
		c.get(probes+"/ready").Want(t, http.StatusOK, "pong")
		c.get(probes+"/live").Want(t, http.StatusOK, "")
		c.get(probes+"/metrics").WantContains(t, http.StatusOK, "php_pool_workers")
		if out, code := c.exec("caddy", "php-pool", "status"); code != 0 {
			t.Errorf("status: got code %d: %s", code, out)
		}
		c.stop()
		harness.Eventually(t, func() error {
			if res := c.get(probes + "/ready"); res.StatusCode != http.StatusServiceUnavailable {
				return fmt.Errorf("the container is to stop, and /ready responds with %s", res.Status)
			}
			return nil
		})
		c.get(base).Want(t, http.StatusOK, "mysql://database")
	})
}
