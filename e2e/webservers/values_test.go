//go:build linux

package webservers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// valueCases are settings that web servers send. The pool has open_basedir, which only
// an administrator may change, and memory_limit 96M.
var valueCases = []struct {
	name         string
	admin, value string // PHP_ADMIN_VALUE, PHP_VALUE; BASE is the pool's open_basedir
	fails        bool   // 500 by the listener
	ignored      bool   // the script runs with the pool's values
}{
	{name: "the same", admin: "open_basedir=BASE", value: "memory_limit=96M"},
	{name: "the same twice", admin: "open_basedir = BASE\nopen_basedir=BASE\n"},
	{name: "nothing"},
	{name: "another open_basedir", admin: "open_basedir=/nowhere", fails: true},
	{name: "an unknown admin value", admin: "open_basedir=BASE\ndisable_functions=exec", fails: true},
	{name: "another memory_limit", value: "memory_limit=97M", ignored: true},
}

// TestValues sends PHP_VALUE and PHP_ADMIN_VALUE as nginx and Apache do, whose
// configuration has them. What the pool has too works as with php-fpm. Another
// PHP_ADMIN_VALUE may be there to protect something: the request fails.
func TestValues(t *testing.T) {
	t.Parallel()
	site := filepath.Join(harness.TempDir(t), "site")
	harness.WriteFile(t, filepath.Join(site, "values.php"), "<?php echo ini_get('open_basedir'), ' ', ini_get('memory_limit');")
	harness.ChownToPHP(t, site)
	base := site + ":/tmp"
	var list []front
	for i, c := range valueCases {
		quoted := func(text string) string {
			return strings.ReplaceAll(strings.ReplaceAll(text, "BASE", base), "\n", "\\n")
		}
		list = append(list, front{name: fmt.Sprint("nginx ", i), program: nginx, section: nginxSite(func(b backend) string {
			var params strings.Builder
			for name, text := range map[string]string{"PHP_ADMIN_VALUE": c.admin, "PHP_VALUE": c.value} {
				if text != "" {
					fmt.Fprintf(&params, "fastcgi_param %s \"%s\";\n", name, quoted(text))
				}
			}
			return "location ~ \\.php$ {\ninclude fastcgi.conf;\n" + params.String() + "fastcgi_pass unix:" + b.unix + ";\n}"
		})})
		if strings.Contains(c.admin, "\n") {
			continue // Apache cannot write that
		}
		list = append(list, front{name: fmt.Sprint("apache ", i), program: apache, section: apacheSite(func(_ *rig, b backend) string {
			var params strings.Builder
			for name, text := range map[string]string{"PHP_ADMIN_VALUE": c.admin, "PHP_VALUE": c.value} {
				if text != "" {
					fmt.Fprintf(&params, "ProxyFCGISetEnvIf \"true\" %s \"%s\"\n", name, quoted(text))
				}
			}
			return params.String() + "<FilesMatch \\.php$>\nSetHandler \"proxy:unix:" + b.unix + "|fcgi://localhost\"\n</FilesMatch>"
		})})
	}
	pool := fmt.Sprintf("workers 2\nadmin_ini open_basedir %q\nini memory_limit 96M", base)
	r := startRig(t, setup{site: site, fronts: list, fpm: true, pool: pool})
	for _, f := range list {
		var i int
		fmt.Sscanf(f.name, f.program+" %d", &i)
		c := valueCases[i]
		t.Run(f.program+" "+c.name, func(t *testing.T) {
			q := &request{method: "GET", target: "/values.php"}
			theirs, ours := send(r.port(f, r.fpm), q), send(r.port(f, r.listener), q)
			want := base + " 96M"
			if c.fails {
				if !strings.Contains(ours["head"], " 500 ") || strings.Contains(ours["body"], "96M") {
					t.Errorf("got %q with %q, want 500", ours["head"], ours["body"])
				}
				return
			}
			if ours["body"] != want {
				t.Errorf("got %q with %q (%s), want %q", ours["head"], ours["body"], ours["ended"], want)
			}
			if c.admin != "" && c.value != "" && !c.ignored && theirs["body"] != want {
				t.Errorf("php-fpm: got %q, want %q", theirs["body"], want)
			}
		})
	}
	if n := len(r.Logged("PHP_ADMIN_VALUE of a web server rejected")); n != 2 {
		t.Errorf("%d settings of PHP_ADMIN_VALUE were logged, want 2", n)
	}
	if n := len(r.Logged("PHP_VALUE of a web server ignored")); n != 1 {
		t.Errorf("%d settings of PHP_VALUE were logged, want 1", n)
	}
}
