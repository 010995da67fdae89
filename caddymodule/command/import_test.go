package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const poolFile = "[www]\nuser = www-data\nlisten = 9000\npm = static\npm.max_children = 3\n"

func TestImport_ExitCode(t *testing.T) {
	out, err := run(t, "import", file(t, "www.conf", poolFile))
	if err != nil || !strings.Contains(out, "\t\tpool www {\n\t\t\tuser www-data\n\t\t\tworkers 3\n\t\t}\n") {
		t.Errorf("got %v and\n%s", err, out)
	}
	for _, lost := range []string{
		"chroot = /srv", "apparmor_hat = php", "security.limit_extensions = .phtml", "pm.max_childs = 3", "php_value[x] = \"a",
		"php_admin_flag[x] = perhaps", "rlimit_core = -1", "env[A] = {$HOME}", "no value",
	} {
		path := file(t, "www.conf", poolFile+lost+"\n")
		out, err := run(t, "import", path)
		if !errors.Is(err, errReported) || !strings.Contains(out, "\n"+path+":6: ") {
			t.Errorf("%s: got %v and\n%s", lost, err, out)
		}
	}
}

func TestImport_Files(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"php-fpm.conf": "include = " + dir + "/*.pool\n", "b.pool": "[b]\nlisten = 9001\n", "a.pool": "[a]\nlisten = 9000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "c.pool"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "import", filepath.Join(dir, "php-fpm.conf"), filepath.Join(dir, "*.pool"))
	a, b := strings.Index(out, "\t\tpool a {"), strings.Index(out, "\t\tpool b {")
	if err != nil || a < 0 || b < a || strings.Count(out, "\n\t\tpool ") != 2 {
		t.Errorf("got %v and\n%s", err, out)
	}
	site := file(t, "Caddyfile", "http://localhost {\n\tphp_fastcgi :9001\n}\n")
	out, err = run(t, "import", "--caddyfile", site, filepath.Join(dir, "*.pool"))
	if err != nil || !strings.HasSuffix(out, "http://localhost {\n\tphp_pool {\n\t\tpool b\n\t}\n}\n") {
		t.Errorf("got %v and\n%s", err, out)
	}
}

func TestImport_Errors(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.conf")
	_, err := run(t, "import", absent)
	wantError(t, err, "no file matches "+absent, "write the path")
	_, err = run(t, "import", "[")
	wantError(t, err, "not a pattern")
	_, err = run(t, "import", "--caddyfile", absent, file(t, "www.conf", poolFile))
	wantError(t, err, absent)
	_, err = run(t, "import", "--caddyfile", file(t, "Caddyfile", "{\n\tphp_pool {\n\t}\n}\n"), file(t, "www.conf", poolFile))
	wantError(t, err, "php_pool already")
	if _, err = run(t, "import"); err == nil {
		t.Error("import without a file is not an error")
	}
}
