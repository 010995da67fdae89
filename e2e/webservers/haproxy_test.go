//go:build linux

package webservers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// haproxySite returns sections for sites with these options of fcgi-app.
func haproxySite(options string) func(*rig, backend, int) string {
	return func(r *rig, b backend, port int) string {
		return fmt.Sprintf(`
frontend f%[1]d
	bind 127.0.0.1:%[1]d
	default_backend b%[1]d
backend b%[1]d
	use-fcgi-app a%[1]d
	http-reuse always
	server php unix@%[2]s proto fcgi
fcgi-app a%[1]d
	log-stderr global
	docroot %[3]s
	index index.php
	path-info ^(/.+\.php)(/.*)?$
	%[4]s
`, port, b.unix, r.Site, options)
	}
}

func startHAProxy(t *testing.T, r *rig, sections []string) {
	dir := harness.TempDir(t)
	conf := filepath.Join(dir, "haproxy.cfg")
	harness.WriteFile(t, conf, `
global
	log stderr format raw daemon
defaults
	mode http
	timeout connect 180s
	timeout client 180s
	timeout server 180s
`+strings.Join(sections, ""))
	r.logs[haproxy] = filepath.Join(dir, "out.log")
	harness.StartWebServer(t, harness.Command{
		Args: []string{harness.Unpacked(t, "haproxy/usr/sbin/haproxy"), "-db", "-f", conf},
		Dir:  dir, Log: r.logs[haproxy],
	}, r.portsOf(haproxy)...)
}
