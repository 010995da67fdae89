package vhosts

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
)

// files is a Source.
type files map[string]string

func (f files) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range f {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (f files) ReadFile(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

const poolFile = "[www]\nlisten = /run/php.sock\nsecurity.limit_extensions = .php .phtml\n[b]\nlisten = 9000\n"

// FuzzSites converts any file. The result has to be a Caddyfile that `caddy fmt` leaves
// as it is, whose sites have three directives each, and each line that protects has to
// be in a comment.
func FuzzSites(f *testing.F) {
	f.Add("server {\nlisten 80;\nserver_name a.example .b.example;\nroot /srv;\nindex index.php;\ntry_files $uri /index.php?$args;\nlocation ~ \\.php$ { fastcgi_pass unix:/run/php.sock; }\ndeny all; }")
	f.Add("<VirtualHost *:80 [::]:443>\nServerName a\nDocumentRoot \"/srv/a b\"\nSSLEngine on\n<FilesMatch \\.php$>\nSetHandler \"proxy:unix:/run/php.sock|fcgi://x\"\n</FilesMatch>\nFallbackResource /x.php\nRequire ip 10\n</VirtualHost>\n")
	f.Add("include /etc/x/*; upstream u { server 127.0.0.1:9000; } server { server_name \"{$A}\" '}' _; root \"/a{b}`\"; location / { root /x{$Y}; location ~* \\.(php|phtml)$ { fastcgi_pass u; } } allow 1.2.3.4; } # x")
	f.Add("Define A /srv\nInclude x\n<IfModule !x>\nProxyPassMatch ^/(.*\\.php)$ fcgi://localhost:9000/\n</IfModule>\n<VirtualHost a:81>\nDocumentRoot ${A}\\\n/b\nAllowOverride All\nDirectoryIndex a.php b.html\n</VirtualHost>")
	f.Add("server { root /a; location ~ \\.php$ { fastcgi_pass localhost:9000; } } server { listen [::1]:8080 ssl default_server; auth_basic x; access_by_lua_block { } } }")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Read(files{"/etc/x/site": text}, []string{"/etc/x/*"})
		if err != nil {
			return
		}
		pools, err := fpmconf.Read(files{"/etc/fpm": poolFile}, []string{"/etc/fpm"})
		if err != nil {
			t.Fatal(err)
		}
		var sites *Result
		result := fpmconf.ConvertSites(pools, func(find fpmconf.Finder) []string {
			sites = c.Sites(find)
			return sites.Lines
		})
		for _, line := range sites.Lost {
			if !strings.Contains(result.Caddyfile, "# "+line+"\n") {
				t.Errorf("%q is not in\n%s", line, result.Caddyfile)
			}
		}
		checkSites(t, result.Caddyfile)
	})
}

func checkSites(t *testing.T, text string) {
	t.Helper()
	if strings.ToValidUTF8(text, "") != text {
		return // caddy fmt would change it
	}
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		t.Errorf("caddy fmt makes\n%s\nof\n%s", formatted, text)
	}
	blocks, err := caddyfile.Parse("Caddyfile", []byte(text))
	if err != nil {
		t.Fatalf("%v of\n%s", err, text)
	}
	for i, b := range blocks {
		if i == 0 {
			continue // the global options
		}
		var names []string
		for _, s := range b.Segments {
			names = append(names, s.Directive())
		}
		if got := strings.Join(names, " "); got != "root php_pool file_server" {
			t.Errorf("a site has the directives %s:\n%s", got, text)
		}
		for _, key := range b.Keys {
			if strings.ContainsAny(key.Text, "{}$ /") && !strings.HasPrefix(key.Text, "http") {
				t.Errorf("a site has the address %q", key.Text)
			}
		}
	}
}
