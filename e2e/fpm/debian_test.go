//go:build linux

package fpm

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFPMDebian runs Debian's php-fpm.conf and pool.d/www.conf behind Debian's nginx with
// its snippets/fastcgi-php.conf. Only the directories /etc, /run and /var are others.
func TestFPMDebian(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(harness.CacheDir(t), "fpm/etc/php/*/fpm/php-fpm.conf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("php-fpm is missing: run make deps (%v)", err)
	}
	if os.Getuid() != 0 {
		t.Skip("Debian's www.conf is for root")
	}
	type page struct{ path, status, body string }
	responses := map[bool][]page{}
	for _, own := range []bool{false, true} {
		i := newInstance(t, own, "")
		conf := filepath.Join(i.dir, "etc/php/fpm")
		harness.CopyTree(t, conf, filepath.Dir(files[0]))
		for _, dir := range []string{"run/php", "log", "www/sub dir"} {
			if err := os.MkdirAll(filepath.Join(i.dir, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		move := strings.NewReplacer("/etc/php/"+filepath.Base(filepath.Dir(filepath.Dir(files[0])))+"/fpm", conf, "/run/php", i.dir+"/run/php", "/var/log", i.dir+"/log")
		var socket string
		for _, name := range []string{"php-fpm.conf", "pool.d/www.conf"} {
			text := move.Replace(harness.ReadFile(t, filepath.Join(conf, name)))
			harness.WriteFile(t, filepath.Join(conf, name), text)
			if _, after, ok := strings.Cut(text, "\nlisten = "); ok {
				socket, _, _ = strings.Cut(after, "\n")
			}
		}
		harness.WriteFile(t, filepath.Join(i.dir, "www/index.php"), `<?php header('X-Test: a b'); echo json_encode([$_SERVER['SCRIPT_NAME'], $_SERVER['PHP_SELF'],
			$_SERVER['PATH_INFO'] ?? null, $_SERVER['QUERY_STRING'], $_SERVER['DOCUMENT_URI'], $_GET, $_POST, posix_getuid(), getcwd() === __DIR__, get_current_user()]);`)
		harness.WriteFile(t, filepath.Join(i.dir, "www/sub dir/status.php"), `<?php http_response_code(404); echo file_get_contents('php://input');`)
		c := i.command("-F")
		for n := range c.Args {
			if c.Args[n] == "-y" {
				c.Args[n+1] = filepath.Join(conf, "php-fpm.conf")
			}
		}
		i.Supervised = harness.Supervise(t, c)
		harness.Eventually(t, func() error {
			_, err := os.Stat(socket)
			return err
		})
		port := startNginx(t, i.dir, socket)
		client := harness.NewClient(t)
		for _, path := range []string{"/", "/index.php?a=b%20c", "/index.php/path/info?x", "/sub%20dir/status.php", "/missing.php", "/index.php%00", "POST /index.php", "POST /sub%20dir/status.php"} {
			method, url, ok := strings.Cut(path, " ")
			body := "a=1&b=%20"
			if !ok {
				method, url, body = "GET", path, ""
			}
			req := harness.NewRequest(t, method, fmt.Sprintf("http://127.0.0.1:%d%s", port, url), strings.NewReader(body))
			if ok {
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			res := harness.Do(t, client, req)
			responses[own] = append(responses[own], page{path, res.Status + " " + res.Header.Get("X-Test") + " " + res.Header.Get("Content-Type"), res.Text})
		}
		if i.Signal(syscall.SIGTERM); own {
			i.waitExit(0)
			if _, err := os.Lstat(socket); err == nil {
				t.Error("the socket is left")
			}
		}
	}
	ok := 0
	for n, want := range responses[false] {
		if got := responses[true][n]; got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if strings.HasPrefix(want.status, strconv.Itoa(http.StatusOK)) {
			ok++
		}
	}
	if ok < 4 {
		t.Errorf("php-fpm itself: %+v", responses[false])
	}
}

// startNginx runs Debian's nginx with a site for PHP, and returns its port.
func startNginx(t *testing.T, dir, socket string) int {
	t.Helper()
	port := harness.FreePort(t)
	etc := harness.Unpacked(t, "nginx-common/etc/nginx")
	conf := filepath.Join(dir, "etc/nginx")
	harness.CopyTree(t, conf, etc)
	harness.WriteFile(t, filepath.Join(conf, "nginx.conf"), fmt.Sprintf(`daemon off;
user www-data;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log;
events { worker_connections 64; }
http {
	client_body_temp_path %[1]s/body;
	fastcgi_temp_path %[1]s/fastcgi;
	proxy_temp_path %[1]s/proxy;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	access_log off;
	include mime.types;
	default_type application/octet-stream;
	server {
		listen 127.0.0.1:%[2]d;
		root %[1]s/www;
		index index.php;
		location / { try_files $uri $uri/ =404; }
		location ~ \.php {
			include snippets/fastcgi-php.conf;
			fastcgi_pass unix:%[3]s;
		}
	}
}
`, dir, port, socket))
	harness.StartWebServer(t, harness.Command{
		Args: []string{harness.Unpacked(t, "nginx/usr/sbin/nginx"), "-c", filepath.Join(conf, "nginx.conf"), "-p", dir, "-e", filepath.Join(dir, "nginx-error.log")},
		Dir:  dir, Log: filepath.Join(dir, "nginx.log"),
	}, port)
	return port
}
