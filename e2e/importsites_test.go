//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestImportSites converts a site of nginx and one of Apache, starts Caddy with the
// result, and requests what a front controller, an index file and a hidden file are.
func TestImportSites(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]string{
		"nginx": `
upstream php { server unix:DIR/fpm.sock; }
server {
	listen PORT;
	server_name 127.0.0.1;
	root "SITE";
	index index.php;
	location / {
		try_files $uri $uri/ /front.php?$args;
	}
	location ~ \.php$ {
		fastcgi_split_path_info ^(.+\.php)(/.+)$;
		include fastcgi_params;
		fastcgi_pass php;
	}
	location ~ /\.ht {
		deny all;
	}
}
`,
		"Apache": `
Define dir SITE
<VirtualHost *:PORT>
	ServerName http://127.0.0.1
	DocumentRoot ${dir}
	<Directory ${dir}>
		DirectoryIndex index.php
		FallbackResource /front.php
		Require all granted
	</Directory>
	<FilesMatch \.php$>
		SetHandler "proxy:unix:DIR/fpm.sock|fcgi://localhost"
	</FilesMatch>
	<Files ".ht*">
		Require all denied
	</Files>
</VirtualHost>
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Prepare(t, harness.SharedLean)
			s.Backend.Lines = nil // php_pool is as import writes it
			write := func(name, text string) string {
				t.Helper()
				path := filepath.Join(s.Dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				harness.WriteFile(t, path, strings.NewReplacer("DIR", s.Dir, "SITE", s.Site, "PORT", strconv.Itoa(s.Port)).Replace(text))
				return path
			}
			write("web/fastcgi_params", "fastcgi_param QUERY_STRING $query_string;\n")
			write("web/sites/one", site)
			fpm := write("fpm.conf", "[www]\nlisten = DIR/fpm.sock\npm = static\npm.max_children = 2\n")
			harness.WriteFile(t, filepath.Join(s.Site, ".htaccess"), "secret")
			harness.WriteFile(t, filepath.Join(s.Site, "front.php"), "<?php echo 'front ', $_SERVER['REQUEST_URI'];")
			harness.WriteFile(t, filepath.Join(s.Site, "sub/index.php"), "<?php echo 'sub';")
			c := s.Command("php-pool", "import", "--sites="+filepath.Join(s.Dir, "web/sites/*"), fpm)
			cmd := exec.Command(c.Args[0], c.Args[1:]...)
			cmd.Env = c.Env
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			global, sites, ok := strings.Cut(strings.TrimPrefix(string(out), "{\n"), "\n}\n")
			if !ok {
				t.Fatalf("got %s", out)
			}
			s.Options.Global = global
			if err := s.Run(sites); err != nil {
				t.Fatalf("%v of\n%s", err, out)
			}
			s.Get("/hello.php").Want(t, 200, "hello\n")
			s.Get("/page.html").WantContains(t, 200, "<")
			s.Get("/sub/").Want(t, 200, "sub")
			s.Get("/no/such/page?x=1").Want(t, 200, "front /no/such/page?x=1")
			s.Get("/.htaccess").Want(t, 404, "")
		})
	}
}
