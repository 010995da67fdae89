//go:build linux

package webservers

import (
	"fmt"
	"testing"
)

// front is a way in which a web server talks to a backend.
type front struct {
	name    string
	program string
	streams bool                                     // it passes on at once what PHP flushes
	section func(r *rig, b backend, port int) string // in the configuration of the program
}

// The web servers.
const (
	nginx    = "nginx"
	apache   = "apache"
	lighttpd = "lighttpd"
	haproxy  = "haproxy"
	caddy    = "caddy"
)

// programs start a web server with sections of its configuration. Caddy is there
// already.
var programs = map[string]func(*testing.T, *rig, []string){
	nginx: startNginx, apache: startApache, lighttpd: startLighttpd, haproxy: startHAProxy,
}

var fronts = []front{
	// As Debian's default site has it: a new connection for each request.
	{"nginx-debian", nginx, true, nginxSite(func(b backend) string {
		return `location ~ \.php(/|$) {
			include snippets/fastcgi-php.conf;
			fastcgi_pass unix:` + b.unix + `;
		}`
	})},
	// Connections are kept.
	{"nginx-kept", nginx, true, nginxUpstream(func(b backend) string { return "unix:" + b.unix }, "")},
	// And nothing is buffered, by TCP.
	{"nginx-stream", nginx, true, nginxUpstream(func(b backend) string { return b.tcp }, "fastcgi_request_buffering off; fastcgi_buffering off;")},
	// Debian's php8.2-fpm.conf.
	{"apache-handler", apache, false, apacheSite(debianApacheConf)},
	{"apache-proxypass", apache, true, apacheSite(func(r *rig, b backend) string {
		return fmt.Sprintf(`
			SetEnvIfNoCase ^Authorization$ "(.+)" HTTP_AUTHORIZATION=$1
			ProxyPassMatch "^/(.*\.php(/.*)?)$" "fcgi://%s%s/$1" enablereuse=on flushpackets=on`, b.tcp, r.Site)
	})},
	{"lighttpd", lighttpd, true, lighttpdSite},
	{"haproxy", haproxy, true, haproxySite("no option keep-conn")},
	{"haproxy-kept", haproxy, true, haproxySite("option keep-conn\n\toption get-values")},
	{"caddy", caddy, true, func(_ *rig, b backend, port int) string {
		return fmt.Sprintf("http://:%d {\n\tbind 127.0.0.1\n\troot {$SITE}\n\tphp_fastcgi unix/%s\n\tfile_server\n}\n", port, b.unix)
	}},
}

// frontNamed returns the front with a name.
func frontNamed(t *testing.T, name string) front {
	t.Helper()
	for _, f := range fronts {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no front is named %s", name)
	return front{}
}
