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

// lighttpdSite is a site as Debian's conf-available/15-fastcgi-php-fpm.conf has it.
func lighttpdSite(_ *rig, b backend, port int) string {
	return fmt.Sprintf(`
$SERVER["socket"] == "127.0.0.1:%d" {
	fastcgi.server = (".php" => ((
		"socket" => "%s",
		"broken-scriptfilename" => "enable",
	)))
}
`, port, b.unix)
}

func startLighttpd(t *testing.T, r *rig, sections []string) {
	dir := harness.TempDir(t)
	ports := r.portsOf(lighttpd)
	user := ""
	if os.Getuid() == 0 {
		user = "server.username = \"www-data\"\nserver.groupname = \"www-data\"\n"
	}
	// Its main socket has to have a port, too.
	harness.WriteFile(t, filepath.Join(dir, "lighttpd.conf"), fmt.Sprintf(`
server.modules = ("mod_fastcgi")
server.document-root = "%[2]s"
server.bind = "127.0.0.1"
server.port = %[3]d
server.upload-dirs = ("%[1]s")
server.errorlog = "%[1]s/error.log"
server.stream-request-body = 1
server.stream-response-body = 1
index-file.names = ("index.php", "index.html")
static-file.exclude-extensions = (".php")
%[4]s%[5]s`, dir, r.Site, harness.FreePort(t), user, strings.Join(sections, "")))
	harness.ChownToPHP(t, dir)
	r.logs[lighttpd] = filepath.Join(dir, "error.log")
	harness.StartWebServer(t, harness.Command{
		Args: []string{
			harness.Unpacked(t, "lighttpd/usr/sbin/lighttpd"), "-D", "-f", filepath.Join(dir, "lighttpd.conf"),
			"-m", harness.Unpacked(t, "lighttpd/usr/lib/lighttpd"),
		},
		Dir: dir, Log: filepath.Join(dir, "out.log"),
	}, ports...)
}
