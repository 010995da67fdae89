package serve

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the Caddyfile adapter
	"github.com/spf13/cobra"
)

// parse returns the site of a command line, in which DIR is a directory with the files.
func parse(t *testing.T, files, line string) (*site, string, error) {
	t.Helper()
	dir := t.TempDir()
	for file := range strings.FieldsSeq(files) {
		name := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("<?php"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &cobra.Command{Use: "serve", SilenceErrors: true, SilenceUsage: true}
	SetUp(cmd)
	var s *site
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s, err = fromFlags(cmd.Flags(), args)
		return err
	}
	cmd.SetArgs(strings.Fields(strings.ReplaceAll(line, "DIR", dir)))
	cmd.SetOut(io.Discard)
	err := cmd.Execute()
	return s, dir, err
}

func TestServe_Root(t *testing.T) {
	for _, tt := range []struct{ files, line, want string }{
		{"index.php", "DIR", ""},
		{"index.php public/style.css", "DIR", ""},
		{"public/index.php artisan", "DIR", "public"},
		{"index.php webroot/index.php", "DIR", "webroot"}, // CakePHP
		{"web/index.php public/robots.txt", "DIR", "web"},
		{"public/index.php", "--root DIR", ""},
	} {
		s, dir, err := parse(t, tt.files, tt.line+" --print")
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if want := filepath.Join(dir, tt.want); s.root != want {
			t.Errorf("%+v: got %s, want %s", tt, s.root, want)
		}
	}
}

func TestServe_Refused(t *testing.T) {
	for line, want := range map[string]string{
		"DIR/missing":                       "no such file",
		"DIR/index.php":                     "is not a directory",
		"DIR --root DIR":                    "leave out one",
		"DIR --listen 8000":                 "write :8000",
		"DIR --listen :0":                   "write :8000",
		"DIR --watch":                       "add --worker",
		"DIR --worker DIR/missing.php":      "no such file",
		"DIR --worker DIR":                  "is not a file",
		"DIR --worker DIR/index.php,many":   "is not a number of workers",
		"DIR --worker DIR/index.php,0":      "is not a number of workers",
		"DIR --mercure":                     "no Mercure hub",
		"DIR --hot-reload":                  "unknown flag",
		"DIR --open --print":                "leave out one",
		"DIR --envfile DIR/missing":         "--envfile",
		"DIR other":                         "accepts at most 1 arg",
		"DIR --worker DIR/index.php,2,more": "is not a number of workers",
	} {
		if _, _, err := parse(t, "index.php", line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

// The Caddyfiles are as they should look, and Caddy can parse them.
func TestServe_Caddyfile(t *testing.T) {
	const development = `
		dev
		ini display_errors 0
		ini log_errors 1
		ini error_log ""
		ini opcache.revalidate_freq 0
		ini error_reporting E_ALL
		slow_request 2s`
	for line, want := range map[string]string{
		"DIR": `http://:8080 {
	bind 127.0.0.1
	root DIR
	encode zstd gzip
	php_pool {` + development + `
	}
	file_server
}
`,
		"DIR -d shop.test": `shop.test {
	root DIR
	encode zstd gzip
	php_pool {` + development + `
	}
	file_server
}
`,
		"DIR -d example.com": `example.com {
	root DIR
	encode zstd gzip
	php_pool {
		ini display_errors 1
		ini display_startup_errors 1
		ini opcache.revalidate_freq 0
		ini error_reporting E_ALL
		slow_request 2s
	}
	file_server
}
`,
		"-r DIR -a -v --no-compress --production --php 8.3 -l :8000": `{
	debug
}
http://:8000 {
	root DIR
	log
	php_pool {
		binary 8.3
	}
	file_server
}
`,
		"DIR --production --domain example.com": `example.com {
	root DIR
	encode zstd gzip
	php_pool
	file_server
}
`,
		"DIR --production -d app.localhost -l 127.0.0.1:8443": `{
	auto_https disable_redirects
}
https://app.localhost:8443 {
	bind 127.0.0.1
	root DIR
	encode zstd gzip
	php_pool
	file_server
}
`,
		"DIR --production --listen :80 -w DIR/index.php -w DIR/b.php,2": `http://:80 {
	root DIR
	encode zstd gzip
	php_pool {
		worker DIR/index.php
		worker DIR/b.php 2
	}
	file_server
}
`,
		"DIR --production -w DIR/index.php,2 --watch": `http://:80 {
	root DIR
	encode zstd gzip
	php_pool {
		worker DIR/index.php {
			num 2
			watch
		}
	}
	file_server
}
`,
		"DIR --production -w DIR/index.php --watch=DIR/**/*.{php,twig}": `http://:80 {
	root DIR
	encode zstd gzip
	php_pool {
		worker DIR/index.php {
			watch ` + "`DIR/**/*.{php,twig}`" + `
		}
	}
	file_server
}
`,
	} {
		s, dir, err := parse(t, "index.php b.php", line+" --print")
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got, err := s.caddyfile()
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if got := strings.ReplaceAll(got, dir, "DIR"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", line, got, want)
		}
	}
}

// TestServe_Names has directories with odd names: they reach Caddy as they are.
func TestServe_Names(t *testing.T) {
	for _, name := range []string{"a b", `a"b`, "a#b", " #b", `a\b`, "ä"} {
		var b writer
		b.open(":80")
		b.line("root", "/srv/"+name)
		b.close()
		if b.err != nil {
			t.Errorf("%s: %v", name, b.err)
		}
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(b.text.String()), nil)
		if want := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace("/srv/" + name); err != nil || !strings.Contains(string(config), `"`+want+`"`) {
			t.Errorf("%s: got %s, %v", name, config, err)
		}
	}
	for _, name := range []string{"a\nb", "a`b", "{$HOME}", "{a}"} {
		s := &site{root: "/srv/" + name, listen: ":80"}
		if text, err := s.caddyfile(); err == nil {
			t.Errorf("%q was accepted:\n%s", name, text)
		}
	}
}

func TestServe_Port(t *testing.T) {
	first, _, err := parse(t, "index.php", "DIR")
	if err != nil {
		t.Fatal(err)
	}
	// An error means that somebody else has taken it meanwhile.
	if ln, err := net.Listen("tcp", first.listen); err == nil {
		defer ln.Close()
	}
	second, _, err := parse(t, "index.php", "DIR")
	if err != nil {
		t.Fatal(err)
	}
	third, _, err := parse(t, "index.php", "DIR") // before the second one listens
	if err != nil {
		t.Fatal(err)
	}
	if second.listen == first.listen || third.listen == second.listen {
		t.Errorf("got %s, %s and %s", first.listen, second.listen, third.listen)
	}
}

func TestServe_URL(t *testing.T) {
	for _, tt := range []struct{ domain, listen, want string }{
		{"", "127.0.0.1:8080", "http://localhost:8080"},
		{"", ":80", "http://localhost"},
		{"", "0.0.0.0:8000", "http://localhost:8000"},
		{"", "192.0.2.1:8000", "http://192.0.2.1:8000"},
		{"", "[2001:db8::1]:8000", "http://[2001:db8::1]:8000"},
		{"example.com", "", "https://example.com"},
		{"example.com", ":443", "https://example.com"},
		{"example.com", ":8443", "https://example.com:8443"},
	} {
		s := &site{domain: tt.domain, listen: tt.listen}
		if got := s.url(); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}
