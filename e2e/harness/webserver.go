//go:build linux

package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// StartWebServer runs a web server until the test ends, and returns when it listens at
// the ports. It has to run until then.
func StartWebServer(tb testing.TB, c Command, ports ...int) *Supervised {
	tb.Helper()
	c.Env = append(c.Env, "PATH="+os.Getenv("PATH"))
	k := Supervise(tb, c)
	tb.Cleanup(func() {
		if _, exited := k.Wait(0); exited {
			tb.Errorf("%s exited with code %d:\n%s", c.Args[0], k.ExitCode, tail(ReadFile(tb, c.Log)))
		}
	})
	for _, port := range ports {
		Eventually(tb, func() error {
			select {
			case <-k.Exited:
				tb.Fatalf("%s exited with code %d:\n%s", c.Args[0], k.ExitCode, tail(ReadFile(tb, c.Log)))
			default:
			}
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				return fmt.Errorf("%s does not listen:\n%s", c.Args[0], tail(ReadFile(tb, c.Log)))
			}
			return conn.Close()
		})
	}
	return k
}

// Unpacked returns the path of a file in a package that make deps has unpacked: the
// name of the package and the path in it.
func Unpacked(tb testing.TB, path string) string {
	tb.Helper()
	path = filepath.Join(CacheDir(tb), path)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%s is missing: run make deps, which fetches it", path)
	}
	return path
}

// StartNginx runs nginx with these lines in the block http until the test ends, and
// returns the path of its error log. Debian's configuration files, except nginx.conf,
// can be included by their relative paths.
func StartNginx(tb testing.TB, servers string, ports ...int) (errorLog string) {
	tb.Helper()
	dir := TempDir(tb)
	CopyTree(tb, dir, Unpacked(tb, "nginx-common/etc/nginx"))
	user := ""
	if os.Getuid() == 0 {
		user = "user www-data;"
	}
	conf := filepath.Join(dir, "test.conf")
	WriteFile(tb, conf, fmt.Sprintf(`daemon off;
%[2]s
worker_processes 1;
pid %[1]s/nginx.pid;
events { worker_connections 1024; }
http {
	include mime.types;
	access_log off;
	client_max_body_size 8m;
	client_body_temp_path %[1]s/body;
	fastcgi_temp_path %[1]s/fastcgi;
	proxy_temp_path %[1]s/proxy;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[3]s
}
`, dir, user, servers))
	errorLog = filepath.Join(dir, "error.log")
	StartWebServer(tb, Command{
		Args: []string{Unpacked(tb, "nginx/usr/sbin/nginx"), "-c", conf, "-p", dir, "-e", errorLog},
		Dir:  dir, Log: filepath.Join(dir, "out.log"),
	}, ports...)
	return errorLog
}
