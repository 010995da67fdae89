package phpruntime

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFunctions_Disabled(t *testing.T) {
	for disabled, want := range map[string][]string{
		"":                       {"fastcgi_finish_request", "headers_send"},
		"exec,mail":              {"fastcgi_finish_request", "headers_send"},
		"fastcgi_finish_request": {"headers_send"},
		"ob_end_flush":           {"headers_send"},
		"headers_list":           {"fastcgi_finish_request"},
		"exec,error_log":         nil,
	} {
		f := Functions{Mark: "mark", Disabled: strings.Split(disabled, ",")}
		if got := f.Defined(); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", disabled, got, want)
		}
		for _, name := range []string{"fastcgi_finish_request", "headers_send"} {
			if got := strings.Contains(f.Source(), "function "+name); got != slices.Contains(want, name) {
				t.Errorf("%q: the source defines %s: %t", disabled, name, got)
			}
		}
	}
}

// TestFunctions_PHP loads the source into PHP. What the functions do is tested with
// php_pool around them.
func TestFunctions_PHP(t *testing.T) {
	php, err := exec.LookPath("php-cgi")
	if err != nil {
		if testing.Short() {
			t.Skip("needs php-cgi, which is missing: make test installs it")
		}
		t.Fatalf("php-cgi is missing: `make test` installs it (%v)", err)
	}
	dir := t.TempDir()
	own := filepath.Join(dir, "it's.php")
	files := map[string]string{
		own:                              "<?php if (!function_exists('own')) { function own() {} }",
		filepath.Join(dir, "source.php"): (&Functions{Mark: "mark", Preload: own}).Source(),
		filepath.Join(dir, "page.php"): `<?php
			require __DIR__ . '/source.php';
			require __DIR__ . '/source.php'; // it may have been preloaded before
			foreach (['fastcgi_finish_request', 'headers_send', 'own'] as $name) {
				$type = function_exists($name) ? (new ReflectionFunction($name))->getReturnType() : null;
				echo $name, ': ', $type ? $type->getName() : (function_exists($name) ? '' : 'missing'), "\n";
			}
			unset($type);
			print_r(array_diff(array_keys(get_defined_vars()), ['_GET', '_POST', '_COOKIE', '_FILES', '_SERVER', '_REQUEST', '_ENV', 'argv', 'argc', 'name']));`,
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(php, "-n", "-q", "-d", "display_errors=1", "-d", "error_reporting=-1", filepath.Join(dir, "page.php")).CombinedOutput()
	want := "fastcgi_finish_request: bool\nheaders_send: int\nown: \nArray\n(\n)\n"
	if err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}
