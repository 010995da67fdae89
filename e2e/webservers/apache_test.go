//go:build linux

package webservers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// apacheSite returns sections for sites with these directives.
func apacheSite(directives func(*rig, backend) string) func(*rig, backend, int) string {
	return func(r *rig, b backend, port int) string {
		return fmt.Sprintf(`
Listen 127.0.0.1:%[1]d
<VirtualHost 127.0.0.1:%[1]d>
	DocumentRoot %[2]s
	%[3]s
</VirtualHost>
`, port, r.Site, directives(r, b))
	}
}

var debianSocket = regexp.MustCompile(`/run/php/php[\d.]+-fpm\.sock`)

// debianApacheConf returns the file that Debian installs with php-fpm, with another
// socket.
func debianApacheConf(r *rig, b backend) string {
	r.T.Helper()
	found, err := filepath.Glob(harness.Unpacked(r.T, "fpm/etc/apache2/conf-available") + "/php*-fpm.conf")
	if err != nil || len(found) != 1 {
		r.T.Fatalf("found %q, %v", found, err)
	}
	return debianSocket.ReplaceAllString(harness.ReadFile(r.T, found[0]), b.unix)
}

// startApache runs Apache with mpm_event and mod_proxy_fcgi.
func startApache(t *testing.T, r *rig, sections []string) {
	dir := harness.TempDir(t)
	var conf strings.Builder
	for _, name := range []string{"mpm_event", "authz_core", "dir", "alias", "proxy", "proxy_fcgi", "setenvif", "rewrite", "deflate", "filter"} {
		fmt.Fprintf(&conf, "LoadModule %s_module %s\n", name, harness.Unpacked(t, "apache2-bin/usr/lib/apache2/modules/mod_"+name+".so"))
	}
	if os.Getuid() == 0 {
		conf.WriteString("User www-data\nGroup www-data\n")
	}
	fmt.Fprintf(&conf, `ServerRoot %[1]s
PidFile %[1]s/apache.pid
DefaultRuntimeDir %[1]s
Mutex file:%[1]s
ErrorLog %[1]s/error.log
LogLevel warn
ServerName localhost
StartServers 1
ThreadsPerChild 25
MaxRequestWorkers 50
<Directory %[2]s>
	Require all granted
</Directory>
%[3]s`, dir, r.Site, strings.Join(sections, "\n"))
	harness.WriteFile(t, filepath.Join(dir, "apache.conf"), conf.String())
	r.logs[apache] = filepath.Join(dir, "error.log")
	harness.StartWebServer(t, harness.Command{
		Args: []string{harness.Unpacked(t, "apache2-bin/usr/sbin/apache2"), "-D", "FOREGROUND", "-d", dir, "-f", filepath.Join(dir, "apache.conf")},
		Dir:  dir, Log: filepath.Join(dir, "out.log"),
	}, r.portsOf(apache)...)
}
