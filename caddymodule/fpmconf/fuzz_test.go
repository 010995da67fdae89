package fpmconf

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// oneFile is a Source with a single file.
type oneFile string

const oneFileName = "/etc/php/8.2/fpm/pool.d/x.conf"

func (oneFile) Glob(pattern string) ([]string, error) {
	if ok, err := path.Match(pattern, oneFileName); err != nil || !ok {
		return nil, err
	}
	return []string{oneFileName}, nil
}

func (f oneFile) ReadFile(name string) ([]byte, error) {
	if name != oneFileName {
		return nil, fs.ErrNotExist
	}
	return []byte(f), nil
}

// FuzzImport converts any file. The result has to be a Caddyfile that `caddy fmt`
// leaves as it is, with one option or comment for each line, and no text of the file
// may become anything else than an option of its pool.
func FuzzImport(f *testing.F) {
	f.Add("[www]\nuser = www-data ; c\nlisten = /run/$pool.sock\npm = dynamic\npm.max_children = 0010\n")
	f.Add("[a b]\nphp_value[x] = \"a\\\"b\" 'c`'\nenv[A] = $B\nphp_flag[d] = ON\nclear_env = no\n[GLOBAL]\nx=1")
	f.Add("[{]\nphp_admin_value[a{b] = {env.A} ${B} {$C}\nphp_value[error_reporting] = E_ALL & ~8\nlisten = 1")
	f.Add("include = /etc/php/8.2/fpm/pool.d/*.conf\n[}]\nphp_admin_value[disable_functions] = a,b\nphp_value[x]=<<E\r\n")
	f.Add("[a]\nsecurity.limit_extensions = .a `.b\nphp_value[x] = a\\`\npm = static\nuser = \"\n")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := Read(oneFile(text), []string{oneFileName})
		if err != nil {
			return
		}
		result, err := Convert(config, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := result.Caddyfile
		for line := range strings.Lines(out) {
			for _, r := range line[:len(line)-1] {
				if r < ' ' && r != '\t' || r == 0x7f {
					t.Fatalf("the control character %q in %q", r, line)
				}
			}
		}
		// Other variables of the environment would be another text.
		blocks, err := caddyfile.Parse("Caddyfile", []byte(out))
		if err != nil {
			t.Fatalf("%v of\n%s", err, out)
		}
		if len(blocks) != 1 || len(blocks[0].Keys) != 0 || len(blocks[0].Segments) != 1 || blocks[0].Segments[0].Directive() != "php_pool" {
			t.Errorf("more than php_pool in\n%s", out)
		}
		pools := 0
		d := caddyfile.NewDispenser(blocks[0].Segments[0])
		d.Next()
		for d.NextBlock(0) {
			if d.Val() == "pool" {
				pools++
				for d.NextArg(); d.NextBlock(1); {
					d.NextSegment()
				}
			}
		}
		if pools != len(config.Pools) {
			t.Errorf("got %d of %d pools in\n%s", pools, len(config.Pools), out)
		}
		if utf8 := strings.ToValidUTF8(out, ""); utf8 == out {
			if formatted := string(caddyfile.Format([]byte(out))); formatted != out {
				t.Errorf("caddy fmt makes\n%s\nof\n%s", formatted, out)
			}
		}
	})
}
