//go:build linux && bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// speedWorkers is how many PHP workers each server has.
const speedWorkers = 4

// rival is a server that is measured.
type rival struct {
	t    *testing.T
	name string
	url  string
	ours bool
	kept []*harness.Supervised // its processes

	limit bool     // shows what is possible, does not compete
	path  string   // only works with this path; all if empty
	php   *barePHP // measured without wrk

	wrapper []string // runs wrk, as perf does: see usageOf

	server *harness.Server // nil if it is not a Caddy with PHP
}

// startRivals starts the servers, the incumbent first.
func startRivals(t *testing.T, site string) []*rival {
	t.Helper()
	wanted := []struct {
		name  string
		short bool
		start func(t *testing.T, site string) *rival
	}{
		{rivalNames[harness.FPM.Name], true, caddyWith(harness.FPM)},
		{"nginx → php-fpm, new connections", false, func(t *testing.T, site string) *rival { return startNginx(t, site, false) }},
		{"nginx → php-fpm, keep-alive", false, func(t *testing.T, site string) *rival { return startNginx(t, site, true) }},
		{"lighttpd → php-cgi", false, startLighttpd},
		{"FrankenPHP", false, startFrankenPHP},
		{rivalNames[harness.SingleLean.Name], false, caddyWith(harness.SingleLean)},
		{rivalNames[harness.SharedLean.Name], true, caddyWith(harness.SharedLean)},
	}
	only := regexp.MustCompile(*speedServers)
	var all []*rival
	for _, w := range wanted {
		if *speedShort && !w.short || w.name == "FrankenPHP" && os.Getenv(frankenPHPEnv) == "" {
			continue
		}
		if len(all) > 0 && !only.MatchString(w.name) {
			continue
		}
		r := w.start(t, site)
		r.t, r.name = t, w.name
		all = append(all, r)
	}
	return all
}

// speedCaddyfile is the site as README.md shows it, with the access log off.
const speedCaddyfile = `
	http://127.0.0.1:{$PORT} {
		root {$SITE}
		PHP
		file_server
	}
`

// rivalNames are the names of the backends in tables.
var rivalNames = map[string]string{
	harness.FPM.Name: "Caddy php_fastcgi → php-fpm", harness.SingleLean.Name: "php_pool, single", harness.SharedLean.Name: "php_pool",
}

func caddyWith(b harness.Backend) func(t *testing.T, site string) *rival {
	return func(t *testing.T, site string) *rival {
		return rivalOf(t, harness.Start(t, b, speedCaddyfile, harness.Options{Site: site, Workers: speedWorkers, Env: strings.Fields(*speedEnv)}))
	}
}

// rivalOf returns the rival for a running Caddy, with its php-fpm if it uses that.
func rivalOf(t *testing.T, s *harness.Server) *rival {
	r := &rival{t: t, name: rivalNames[s.Backend.Name], url: s.URL, ours: !s.Backend.FPM, server: s, kept: []*harness.Supervised{s.Supervised}}
	if s.FPM != nil {
		r.kept = append(r.kept, s.FPM)
	}
	return r
}

// startNginx starts nginx and php-fpm. With keepAlive nginx keeps a connection for each
// worker.
func startNginx(t *testing.T, site string, keepAlive bool) *rival {
	dir, keep := harness.TempDir(t), 0
	if keepAlive {
		keep = speedWorkers
	}
	harness.ChownToPHP(t, dir)
	f := harness.StartFPM(t, dir, harness.Options{Workers: speedWorkers})
	r := nginxTo(t, site, filepath.Join(dir, "fpm.sock"), keep)
	r.kept = append(r.kept, f)
	return r
}

// nginxTo starts an nginx that keeps so many connections to a FastCGI socket.
func nginxTo(t *testing.T, site, socket string, keptConnections int) *rival {
	t.Helper()
	dir, port := harness.TempDir(t), harness.FreePort(t)
	upstream, keep := "", ""
	if keptConnections > 0 {
		upstream, keep = fmt.Sprintf("keepalive %d;", keptConnections), "fastcgi_keep_conn on;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(`daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
user www-data;
events { worker_connections 4096; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %[1]s/body;
	fastcgi_temp_path %[1]s/fastcgi;
	proxy_temp_path %[1]s/proxy;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream php { server unix:%[6]s; %[4]s }
	server {
		listen 127.0.0.1:%[2]d reuseport backlog=4096;
		root %[3]s;
		index index.php;
		location / { try_files $uri $uri/ /index.php?$args; }
		location ~ \.php$ {
			try_files $uri =404;
			%[5]s
			fastcgi_pass php;
			fastcgi_index index.php;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param SCRIPT_NAME $fastcgi_script_name;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param DOCUMENT_URI $document_uri;
			fastcgi_param DOCUMENT_ROOT $document_root;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param REQUEST_SCHEME $scheme;
			fastcgi_param GATEWAY_INTERFACE CGI/1.1;
			fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
			fastcgi_param REMOTE_ADDR $remote_addr;
			fastcgi_param REMOTE_PORT $remote_port;
			fastcgi_param SERVER_ADDR $server_addr;
			fastcgi_param SERVER_PORT $server_port;
			fastcgi_param SERVER_NAME $server_name;
			fastcgi_param REDIRECT_STATUS 200;
		}
	}
}
`, dir, port, site, upstream, keep, socket))
	harness.ChownToPHP(t, dir)
	return serve(t, port, harness.Command{
		Args: []string{harness.Unpacked(t, "nginx/usr/sbin/nginx"), "-c", conf, "-p", dir, "-e", dir + "/nginx.log"},
		Dir:  dir, Log: filepath.Join(dir, "out.log"),
	})
}

// frankenPHPEnv names a FrankenPHP to measure too: no package of Debian has it.
const frankenPHPEnv = "FRANKENPHP_BIN"

// startFrankenPHP starts FrankenPHP without worker mode.
func startFrankenPHP(t *testing.T, site string) *rival {
	dir, port := harness.TempDir(t), harness.FreePort(t)
	conf := filepath.Join(dir, "Caddyfile")
	harness.WriteFile(t, conf, fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	frankenphp {
		num_threads %d
	}
}
http://127.0.0.1:%d {
	root %s
	php_server
}
`, speedWorkers, port, site))
	return serve(t, port, harness.Command{
		Args: []string{os.Getenv(frankenPHPEnv), "run", "--config", conf}, Env: []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir},
		Dir: dir, Log: filepath.Join(dir, "out.log"),
	})
}

func startLighttpd(t *testing.T, site string) *rival {
	dir, port := harness.TempDir(t), harness.FreePort(t)
	conf := filepath.Join(dir, "lighttpd.conf")
	harness.WriteFile(t, conf, fmt.Sprintf(`
server.modules = ("mod_fastcgi", "mod_rewrite")
server.document-root = "%[3]s"
server.port = %[2]d
server.bind = "127.0.0.1"
server.username = "www-data"
server.groupname = "www-data"
server.upload-dirs = ("%[1]s")
server.errorlog = "%[1]s/lighttpd.log"
server.max-keep-alive-requests = 0
index-file.names = ("index.php")
fastcgi.server = (".php" => ((
	"bin-path" => "%[4]s",
	"socket" => "%[1]s/php.sock",
	"max-procs" => 1,
	"bin-environment" => ("PHP_FCGI_CHILDREN" => "%[5]d", "PHP_FCGI_MAX_REQUESTS" => "0"),
	"broken-scriptfilename" => "enable",
)))
`, dir, port, site, harness.PHPCGI(t), speedWorkers))
	harness.ChownToPHP(t, dir)
	return serve(t, port, harness.Command{
		Args: []string{harness.Unpacked(t, "lighttpd/usr/sbin/lighttpd"), "-D", "-f", conf, "-m", harness.Unpacked(t, "lighttpd/usr/lib/lighttpd")},
		Dir:  dir, Log: filepath.Join(dir, "out.log"),
	})
}

// serve runs a web server.
func serve(t *testing.T, port int, c harness.Command) *rival {
	t.Helper()
	return &rival{url: "http://127.0.0.1:" + strconv.Itoa(port), kept: []*harness.Supervised{harness.StartWebServer(t, c, port)}}
}
