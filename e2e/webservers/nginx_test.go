//go:build linux

package webservers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// nginxSite returns sections for sites with these locations.
func nginxSite(locations func(backend) string) func(*rig, backend, int) string {
	return func(r *rig, b backend, port int) string {
		return fmt.Sprintf(`
	server {
		listen 127.0.0.1:%[1]d;
		root %[2]s;
		index index.php index.html;
		location /internal/ { internal; alias %[2]s/; }
		location = /fpm/ping { include fastcgi.conf; fastcgi_pass unix:%[3]s; }
		%[4]s
	}`, port, r.Site, b.unix, locations(b))
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

func startNginx(t *testing.T, r *rig, sections []string) {
	r.logs[nginx] = harness.StartNginx(t, strings.Join(sections, "\n"), r.portsOf(nginx)...)
}
