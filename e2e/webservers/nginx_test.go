//go:build linux

package webservers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// nginxSite returns sections for sites with these locations.
func nginxSite(locations func(backend) string) func(*rig, backend, int) string {
	return func(r *rig, b backend, port int) string {
		return fmt.Sprintf(`
	server {
		listen 127.0.0.1:%d;
		root %s;
		index index.php index.html;
		location /internal/ { internal; alias %[2]s/; }
		%s
	}`, port, r.Site, locations(b))
	}
}

// nginxUpstream returns sections for sites that keep connections, as nginx's own
// documentation has them.
func nginxUpstream(address func(backend) string, options string) func(*rig, backend, int) string {
	return func(r *rig, b backend, port int) string {
		name := fmt.Sprintf("php%d", port)
		site := nginxSite(func(backend) string {
			return `location ~ [^/]\.php(/|$) {
			fastcgi_split_path_info ^(.+?\.php)(/.*)$;
			include fastcgi.conf;
			fastcgi_param PATH_INFO $fastcgi_path_info;
			fastcgi_param PATH_TRANSLATED $document_root$fastcgi_path_info;
			fastcgi_pass ` + name + `;
			fastcgi_keep_conn on;
			` + options + `
		}`
		})(r, b, port)
		return fmt.Sprintf("\n\tupstream %s { server %s; keepalive 4; }", name, address(b)) + site
	}
}

// startNginx runs nginx with Debian's configuration files, except the main one.
func startNginx(t *testing.T, r *rig, sections []string) {
	dir := harness.TempDir(t)
	harness.CopyTree(t, dir, harness.Unpacked(t, "nginx-common/etc/nginx"))
	user := ""
	if os.Getuid() == 0 {
		user = "user www-data;"
	}
	conf := filepath.Join(dir, "test.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(`daemon off;
%[2]s
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
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
`, dir, user, strings.Join(sections, "\n")))
	r.logs[nginx] = filepath.Join(dir, "error.log")
	harness.StartWebServer(t, harness.Command{
		Args: []string{harness.Unpacked(t, "nginx/usr/sbin/nginx"), "-c", conf, "-p", dir, "-e", r.logs[nginx]},
		Dir:  dir, Log: filepath.Join(dir, "out.log"),
	}, r.portsOf(nginx)...)
}
